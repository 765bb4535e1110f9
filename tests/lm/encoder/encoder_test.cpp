// Encoders against what transformers computed with the same checkpoints
// (scripts/fixtures/make_encoder_fixtures.py), and against themselves in other company.
#include "preimage/lm/encoder/encoder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/t5/t5.hpp"

namespace preimage::lm {
namespace {

using Ids = std::vector<int64_t>;

double scaled_error(const at::Tensor& ours, const at::Tensor& theirs) {
  return ((ours.to(at::kFloat) - theirs).abs().max() / theirs.abs().max()).item<double>();
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return at::equal(a.contiguous().view(at::kInt), b.contiguous().view(at::kInt));
}

class Encoders : public testing::TestWithParam<const char*> {
 protected:
  const std::filesystem::path folder = fixture(GetParam());
  const std::shared_ptr<const Encoder> encoder = load_encoder(folder, {});
  const base::Json expected = base::read_json(folder / "expected.json");
  const SafetensorsFile tensors{folder / "expected.safetensors"};

  std::vector<Ids> sources() const { return expected["sources"].get<std::vector<Ids>>(); }
  at::Tensor truth(size_t i) const {
    return tensors.read(*tensors.find("hidden." + std::to_string(i)));
  }
  static at::Tensor states(const Encoder& model, const std::vector<Ids>& sentences) {
    Ids all, lengths;
    for (const auto& ids : sentences) {
      all.insert(all.end(), ids.begin(), ids.end());
      lengths.push_back(static_cast<int64_t>(ids.size()));
    }
    return model.hidden(model.embed(at::tensor(all, at::kLong)),
                        nn::make_packing(lengths, at::kCPU));
  }
};
INSTANTIATE_TEST_SUITE_P(Families, Encoders, testing::Values("t5_relu", "t5_gated", "bert", "gtr"),
                         [](const auto& family) { return std::string(family.param); });

TEST_P(Encoders, HiddenStatesOfTransformers) {
  const auto all = states(*encoder, sources());
  const auto half = load_encoder(folder, {.dtype = at::kBFloat16});
  const auto rough = states(*half, sources());
  int64_t first = 0;
  for (size_t i = 0; i < sources().size(); ++i) {
    const auto length = static_cast<int64_t>(sources()[i].size());
    EXPECT_LT(scaled_error(all.narrow(0, first, length), truth(i)), 1e-5) << i;
    EXPECT_LT(scaled_error(rough.narrow(0, first, length), truth(i)), 3e-2) << i;
    first += length;
  }
}

TEST_P(Encoders, ASentenceDoesNotDependOnItsCompany) {
  const int threads = at::get_num_threads();
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto model = load_encoder(folder, {.dtype = dtype});
    std::vector<at::Tensor> alone;
    for (const auto& ids : sources()) alone.push_back(states(*model, {ids}).to(at::kFloat));
    for (const int count : {1, 2}) {
      at::set_num_threads(count);
      auto reversed = sources();
      std::reverse(reversed.begin(), reversed.end());
      const auto together = states(*model, reversed).to(at::kFloat);
      int64_t first = 0;
      for (size_t i = 0; i < reversed.size(); ++i) {
        const auto& own = alone[alone.size() - 1 - i];
        EXPECT_TRUE(same_bits(together.narrow(0, first, own.size(0)), own)) << i;
        first += own.size(0);
      }
    }
  }
  at::set_num_threads(threads);
}

TEST(RelativePositions, BucketsOfTransformers) {
  const auto expected = base::read_json(fixture("t5_relu") / "expected.json");
  for (const auto& one : expected["buckets"]) {
    for (size_t i = 0; i < expected["distances"].size(); ++i) {
      const auto distance = expected["distances"][i].get<int64_t>();
      EXPECT_EQ(relative_position_bucket(distance, one["bidirectional"], one["buckets"],
                                         one["max_distance"]),
                one["values"][i].get<int64_t>())
          << distance << one["buckets"];
    }
  }
}

// A copy of a fixture whose config.json has other values.
class Changed {
 public:
  Changed(const std::string& name, const base::Json& changes) {
    for (const auto& entry : std::filesystem::directory_iterator(fixture(name))) {
      if (entry.is_regular_file())
        std::filesystem::copy(entry.path(), folder_ / entry.path().filename().string());
    }
    auto config = base::read_json(fixture(name) / "config.json");
    config.merge_patch(changes);
    folder_.put("config.json", config.dump());
  }
  std::string error() const {
    return data_error_of([&] { load_encoder(folder_.path(), {}); });
  }

 private:
  Folder folder_;
};

TEST(EncoderConfigs, EveryWrongValueIsNamed) {
  using testing::AllOf, testing::HasSubstr;
  EXPECT_THAT(Changed("t5_relu", {{"model_type", "umt5"}}).error(),
              AllOf(HasSubstr("\"umt5\""), HasSubstr("expected \"t5\"")));
  EXPECT_THAT(Changed("t5_relu", {{"feed_forward_proj", "gated-silu"}, {"d_model", -1}}).error(),
              AllOf(HasSubstr("gated-silu"), HasSubstr("d_model")));
  EXPECT_THAT(Changed("t5_relu", {{"d_ff", 57}}).error(), HasSubstr("of another shape"));
  EXPECT_THAT(Changed("t5_relu", {{"num_layers", 4}}).error(), HasSubstr("missing"));
  EXPECT_THAT(Changed("t5_relu", {{"num_layers", 2}}).error(), HasSubstr("extra"));
  EXPECT_THAT(Changed("t5_relu", {{"vocab_size", 1e18}}).error(), HasSubstr("vocab_size"));
  EXPECT_THAT(Changed("t5_relu", {{"relative_attention_num_buckets", 2}}).error(),
              HasSubstr("relative_attention_num_buckets"));
  EXPECT_THAT(Changed("bert", {{"hidden_act", "relu"}}).error(), HasSubstr("\"relu\""));
  EXPECT_THAT(Changed("bert", {{"position_embedding_type", "relative_key"}}).error(),
              HasSubstr("relative_key"));
  EXPECT_THAT(Changed("bert", {{"num_attention_heads", 5}}).error(), HasSubstr("multiple"));
  EXPECT_THAT(Changed("bert", {{"quantization_config", {{"quant_method", "gptq"}}}}).error(),
              HasSubstr("quantization_config"));
}

TEST(EncoderConfigs, DecodersAreNoEncoders) {
  EXPECT_TRUE(is_encoder_folder(fixture("bert")));
  EXPECT_TRUE(is_encoder_folder(fixture("t5_gated")));
  EXPECT_FALSE(is_encoder_folder(fixture("qwen2_tied")));
  EXPECT_FALSE(is_encoder_folder(fixture("writer")));
}

}  // namespace
}  // namespace preimage::lm
