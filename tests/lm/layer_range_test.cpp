// A part of a decoder's layers against transformers' hidden states
// (scripts/fixtures/make_training_fixtures.py).
#include "preimage/lm/layer_range.hpp"

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"

namespace preimage::lm {
namespace {

class LayerRanges : public testing::Test {
 protected:
  std::shared_ptr<const Model> model = load_model(fixture("qwen2_tied"), {});
  base::Json layers = base::read_json(fixture("qwen2_tied_training.json"))["layers"];
  nn::Packing packing = nn::make_packing({std::ssize(layers["ids"])}, at::kCPU);

  at::Tensor theirs(size_t layer) const {
    std::vector<double> values;
    for (const auto& row : layers["states"][layer])
      for (const double value : row) values.push_back(value);
    return at::tensor(values, at::kFloat).view({std::ssize(layers["ids"]), -1});
  }
  at::Tensor through(const at::Tensor& x, LayerRange range) const {
    return through_layers(*model, x, nn::PackedAttention(packing), range);
  }
  static double error(const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).abs().max() / b.abs().max()).item<double>();
  }
};

TEST_F(LayerRanges, EachRangeGivesTheStatesOfTransformers) {
  const at::NoGradGuard no_grad;
  ASSERT_EQ(model->config().layers, 2);
  ASSERT_EQ(layers["states"].size(), 4u);  // embeddings, behind each layer, behind the norm
  const auto ids = at::tensor(layers["ids"].get<std::vector<int64_t>>(), at::kLong);
  EXPECT_LT(error(model->embed(ids), theirs(0)), 1e-6);
  for (int64_t begin = 0; begin <= 2; ++begin) {
    for (int64_t end = begin; end <= 2; ++end) {
      const auto found = through(theirs(static_cast<size_t>(begin)), {begin, end});
      EXPECT_LT(error(found, theirs(static_cast<size_t>(end))), 1e-5) << begin << " " << end;
    }
  }
  EXPECT_LT(error(final_norm(*model, theirs(2)), theirs(3)), 1e-5);
}

TEST_F(LayerRanges, RangesEndToEndAreTheWholeModelBitByBit) {
  const at::NoGradGuard no_grad;
  const auto ids = at::tensor(layers["ids"].get<std::vector<int64_t>>(), at::kLong);
  const auto x = model->embed(ids);
  const auto whole = model->hidden(x, nn::PackedAttention(packing));
  EXPECT_TRUE(at::equal(final_norm(*model, through(through(x, {0, 1}), {1, 2})), whole));
}

TEST_F(LayerRanges, RefusesLayersThatTheModelLacks) {
  const auto x = theirs(0);
  EXPECT_THROW(through(x, {0, 3}), base::Error);
  EXPECT_THROW(through(x, {2, 1}), base::Error);
  EXPECT_THROW(through(x, {-1, 1}), base::Error);
}

}  // namespace
}  // namespace preimage::lm
