// Losses of targets and their gradients: those of transformers, and bit by bit the same in every
// batch.
#include "preimage/lm/target_loss.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "lm/fixture.hpp"

namespace preimage::lm {
namespace {

using Ids = std::vector<int64_t>;

class TargetLosses : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const Model> model = load_model(fixture(GetParam()), {});
  base::Json expected = base::read_json(fixture(GetParam()) / "expected.json");
  SafetensorsFile tensors{fixture(GetParam()) / "expected.safetensors"};

  at::Tensor read(const std::string& name) const { return tensors.read(*tensors.find(name)); }
  // [mode; c] before the target and its end token.
  ScoreRequest soft() const {
    ScoreRequest request;
    request.embeddings =
        read("soft.inputs_embeds").narrow(0, 0, 1 + expected["soft"]["k"].get<int64_t>());
    request.continuation = expected["soft"]["target"].get<Ids>();
    request.continuation.push_back(expected["soft"]["eos"].get<int64_t>());
    return request;
  }
  // The same target behind several prompts, of ids, of embeddings and of both.
  std::vector<ScoreRequest> mixed() const {
    std::vector<ScoreRequest> requests = {soft()};
    for (const auto& one : expected["greedy"])
      requests.push_back({.prompt = one["prompt"].get<Ids>(), .continuation = soft().continuation});
    requests.push_back(requests[2]);
    requests.back().embeddings = soft().embeddings;
    requests.push_back({.prompt = {7}, .continuation = {9}});
    return requests;
  }
};
INSTANTIATE_TEST_SUITE_P(Qwen2, TargetLosses,
                         testing::Values("qwen2_tied", "qwen2_untied", "qwen2_rope"));

TEST_P(TargetLosses, AreThoseOfTransformers) {
  const auto loss = target_loss(*model, {soft()}, {.gradient = true})[0];
  const auto nll = read("soft.nll");
  ASSERT_EQ(std::ssize(loss.nll), nll.size(0));
  for (size_t i = 0; i < loss.nll.size(); ++i)
    EXPECT_NEAR(loss.nll[i], nll[static_cast<int64_t>(i)].item<float>(), 2e-5);
  EXPECT_NEAR(loss.mean, nll.mean().item<double>(), 1e-5);
  EXPECT_NEAR(loss.sum, nll.sum().item<double>(), 1e-4);
  // The fixture's is of the sum, and goes on over the target's own rows.
  const auto truth = read("soft.grad").narrow(0, 0, loss.gradient.size(0)) / nll.size(0);
  EXPECT_LT((loss.gradient - truth).abs().max().item<double>(),
            1e-5 * (1 + truth.abs().max().item<double>()));
  EXPECT_GT(truth.abs().max().item<double>(), 1e-3);
}

TEST_P(TargetLosses, HaveTheBitsOfEachAlone) {
  const auto requests = mixed();
  for (const bool gradient : {false, true}) {
    std::vector<TargetLoss> alone;
    for (const auto& request : requests)
      alone.push_back(target_loss(*model, {request}, {.gradient = true})[0]);
    for (const int64_t tokens : {1, 40, 4096}) {
      const auto together =
          target_loss(*model, requests, {.batch_tokens = tokens, .gradient = gradient});
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(together[i].nll, alone[i].nll) << i;
        EXPECT_EQ(together[i].mean, alone[i].mean) << i;
        EXPECT_EQ(together[i].greedy, alone[i].greedy) << i;
        EXPECT_EQ(together[i].gradient.defined(), gradient);
        if (gradient) {
          EXPECT_TRUE(at::equal(together[i].gradient, alone[i].gradient)) << i;
        }
      }
    }
  }
}

TEST_P(TargetLosses, OfIdsAreThoseOfTheirEmbeddings) {
  const auto prompt = expected["greedy"][2]["prompt"].get<Ids>();
  const auto target = soft().continuation;
  const auto embedded = model->embed(at::tensor(prompt, at::kLong));
  const auto both = target_loss(*model,
                                {{.prompt = prompt, .continuation = target},
                                 {.embeddings = embedded, .continuation = target}},
                                {.gradient = true});
  EXPECT_EQ(both[0].nll, both[1].nll);
  EXPECT_TRUE(at::equal(both[0].gradient, both[1].gradient));
}

TEST_P(TargetLosses, GreedySaysWhetherDecodingWritesTheTarget) {
  const auto& one = expected["greedy"][1];
  auto target = one["ids"].get<Ids>();
  target.resize(8);
  ScoreRequest request{.prompt = one["prompt"].get<Ids>(), .continuation = target};
  EXPECT_TRUE(target_loss(*model, {request}, {})[0].greedy);
  request.continuation[3] = (request.continuation[3] + 1) % 90;
  EXPECT_FALSE(target_loss(*model, {request}, {})[0].greedy);
}

TEST_P(TargetLosses, SwapsAreTheSmallestOneHotGradients) {
  const auto loss = target_loss(*model, {mixed()[3]}, {.gradient = true})[0];
  const auto table = model->embedding_table().to(at::kDouble);
  const auto truth = at::matmul(loss.gradient.to(at::kDouble), table.t());
  const auto one_hot = one_hot_gradient(*model, loss.gradient);
  EXPECT_LT((one_hot.to(at::kDouble) - truth).abs().max().item<double>(), 1e-6);
  auto allowed = at::ones({table.size(0)}, at::kBool);
  allowed.narrow(0, 10, 30).fill_(false);
  const auto swaps = swap_candidates(*model, loss.gradient, {.top = 5, .allowed = allowed});
  ASSERT_EQ(swaps.sizes(), (std::vector<int64_t>{loss.gradient.size(0), 5}));
  const auto masked = one_hot.masked_fill(allowed.logical_not().unsqueeze(0), 1e9);
  const auto best = std::get<0>(masked.sort(1)).narrow(1, 0, 5);
  EXPECT_TRUE(at::equal(masked.gather(1, swaps), best));
  EXPECT_TRUE(at::equal(swap_candidates(*model, loss.gradient, {.top = 500}).narrow(1, 0, 1),
                        one_hot.argmin(1, true)));
}

// What the gradient is for: a small step against it makes the target likelier.
TEST_P(TargetLosses, FallAlongTheirGradient) {
  auto request = soft();
  const auto before = target_loss(*model, {request}, {.gradient = true})[0];
  const auto norm2 = before.gradient.square().sum().item<double>();
  const double step = 1e-3 / std::sqrt(norm2);
  request.embeddings = request.embeddings - step * before.gradient;
  const auto after = target_loss(*model, {request}, {})[0];
  EXPECT_NEAR((before.mean - after.mean) / (step * norm2), 1, 0.1);
}

// Of every family, mixtures of experts among them: the gradient against differences of the loss,
// and the bits of a request alone.
class Families : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, Families,
                         testing::Values("gpt_oss", "gpt_oss_mxfp4", "deepseek_v3", "qwen3",
                                         "llama3_tied"));

TEST_P(Families, HaveTheGradientOfTheirLoss) {
  const auto model = load_model(fixture("families") / GetParam(), {});
  ScoreRequest request{.embeddings = model->embed(at::tensor({5, 17, 40, 8}, at::kLong)),
                       .continuation = {9, 30, 2}};
  const auto at = [&](double step, const at::Tensor& along) {
    auto moved = request;
    moved.embeddings = request.embeddings + step * along;
    return target_loss(*model, {moved}, {})[0].mean;
  };
  const auto gradient = target_loss(*model, {request}, {.gradient = true})[0].gradient;
  const auto norm = gradient.norm().item<double>();
  ASSERT_GT(norm, 1e-4);
  const double step = 2e-3;
  EXPECT_NEAR((at(step, gradient / norm) - at(-step, gradient / norm)) / (2 * step) / norm, 1,
              0.03);
  const ScoreRequest other{.prompt = {3, 4, 5, 6, 7}, .continuation = {1, 2}};
  const auto together = target_loss(*model, {other, request, other}, {.gradient = true});
  EXPECT_TRUE(at::equal(together[1].gradient, gradient));
  EXPECT_TRUE(at::equal(together[0].gradient, together[2].gradient));
}

}  // namespace
}  // namespace preimage::lm
