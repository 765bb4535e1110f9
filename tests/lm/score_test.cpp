// Log-probabilities of continuations: those of transformers' logits, and bit by bit those of
// generation.
#include "preimage/lm/score.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include <bit>

#include "lm/fixture.hpp"
#include "preimage/lm/generate/generate.hpp"

namespace preimage::lm {
namespace {

using Ids = std::vector<int64_t>;

class Scores : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const Model> model = load_model(fixture(GetParam()), {});
  base::Json expected = base::read_json(fixture(GetParam()) / "expected.json");
  SafetensorsFile tensors{fixture(GetParam()) / "expected.safetensors"};
};
INSTANTIATE_TEST_SUITE_P(Qwen2, Scores,
                         testing::Values("qwen2_tied", "qwen2_untied", "qwen2_rope"));

TEST_P(Scores, AgreeWithTransformers) {
  const auto ids = expected["sequences"][2].get<Ids>();
  const auto logits = tensors.read(*tensors.find("logits.2"));
  const auto truth = at::log_softmax(logits.to(at::kDouble), 1);
  const auto score_of =
      score(*model, {{.prompt = {ids[0]}, .continuation = Ids(ids.begin() + 1, ids.end())}},
            {.top = 3})[0];
  ASSERT_EQ(score_of.logprobs.size(), ids.size() - 1);
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    EXPECT_NEAR(score_of.logprobs[i], truth[row][ids[i + 1]].item<double>(), 2e-5);
    ASSERT_EQ(score_of.top[i].size(), 3u);
    EXPECT_EQ(score_of.top[i][0].first, truth[row].argmax().item<int64_t>());
    EXPECT_GE(score_of.top[i][0].second, score_of.top[i][1].second);
  }
}

TEST_P(Scores, APrefillRowIsADecodeRow) {
  std::vector<GenerateRequest> generated;
  for (const auto& one : expected["greedy"])
    generated.push_back({.ids = one["prompt"].get<Ids>(), .max_new_tokens = 24, .top = 2});
  generated[2].embeddings = tensors.read(*tensors.find("adam.c0"));
  const auto completions = generate(*model, generated, {});
  std::vector<ScoreRequest> requests;
  for (size_t i = 0; i < generated.size(); ++i) {
    requests.push_back({.prompt = generated[i].ids,
                        .embeddings = generated[i].embeddings,
                        .continuation = completions[i].ids});
  }
  for (const int64_t batch_tokens : {1, 60, 4096}) {
    const auto scores = score(*model, requests, {.batch_tokens = batch_tokens, .top = 2});
    for (size_t i = 0; i < scores.size(); ++i) {
      ASSERT_EQ(scores[i].logprobs.size(), completions[i].logprobs.size());
      for (size_t t = 0; t < scores[i].logprobs.size(); ++t) {
        EXPECT_EQ(std::bit_cast<int32_t>(scores[i].logprobs[t]),
                  std::bit_cast<int32_t>(completions[i].logprobs[t]))
            << i << " " << t;
      }
      EXPECT_EQ(scores[i].top, completions[i].top);
    }
  }
}

TEST_P(Scores, RefuseWhatTheyCannotRead) {
  const auto error = [&](const ScoreRequest& request) {
    return data_error_of([&] { score(*model, {request}, {}); });
  };
  EXPECT_THAT(error({.continuation = {5}}), testing::HasSubstr("request 0: found an empty prompt"));
  EXPECT_THAT(error({.prompt = {5}}), testing::HasSubstr("request 0: found an empty continuation"));
  EXPECT_THAT(error({.prompt = {5}, .continuation = {700}}), testing::HasSubstr("token id 700"));
  EXPECT_THAT(error({.prompt = {5}, .continuation = Ids(257, 5)}),
              testing::HasSubstr("needs 257 tokens"));
}

}  // namespace
}  // namespace preimage::lm
