// Generation and scoring with T5, and the encoder inputs of vec2text, against what transformers
// computed with the same checkpoints (scripts/fixtures/make_encoder_fixtures.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/generate/beam_search.hpp"
#include "preimage/lm/t5/tasks.hpp"
#include "preimage/lm/t5/vec2text.hpp"

namespace preimage::lm {
namespace {

using Ids = std::vector<int64_t>;
using base::Json;

double scaled_error(const at::Tensor& ours, const at::Tensor& theirs) {
  return ((ours.to(at::kFloat) - theirs).abs().max() / theirs.abs().max()).item<double>();
}

struct Truth {
  explicit Truth(const std::string& name)
      : expected(base::read_json(fixture(name) / "expected.json")),
        tensors(fixture(name) / "expected.safetensors") {}
  at::Tensor tensor(const std::string& name) const { return tensors.read(*tensors.find(name)); }
  Json expected;
  SafetensorsFile tensors;
};

class T5 : public testing::TestWithParam<const char*> {
 protected:
  const std::shared_ptr<const T5Model> model = load_t5(fixture(GetParam()), {});
  const Truth truth{GetParam()};
  Ids source(size_t i) const { return truth.expected["sources"][i].get<Ids>(); }
  size_t sources() const { return truth.expected["sources"].size(); }
};
INSTANTIATE_TEST_SUITE_P(Versions, T5, testing::Values("t5_relu", "t5_gated"),
                         [](const auto& version) { return std::string(version.param); });

TEST_P(T5, GreedyTokensOfTransformers) {
  std::vector<GenerateRequest> requests;
  for (size_t i = 0; i < sources(); ++i)
    requests.push_back({.ids = source(i), .max_new_tokens = 24, .stop_ids = {1}});
  const auto completions = generate(*model, requests, {.batch = 4});
  for (size_t i = 0; i < sources(); ++i) {
    const auto ids = truth.expected["greedy"][i]["ids"].get<Ids>();
    EXPECT_EQ(completions[i].ids, ids) << i;
    EXPECT_EQ(completions[i].finish_reason, ids.size() < 24 ? "eos" : "length");
  }
}

TEST_P(T5, ScoresOfTransformers) {
  std::vector<ScoreRequest> requests;
  for (size_t i = 0; i < sources(); ++i)
    requests.push_back(
        {.prompt = source(i), .continuation = truth.expected["targets"][i].get<Ids>()});
  const auto scores = score(*model, requests, {.batch_tokens = 60, .top = 3});
  for (size_t i = 0; i < sources(); ++i) {
    const auto logprobs = at::log_softmax(truth.tensor("logits." + std::to_string(i)), 1);
    for (size_t t = 0; t < requests[i].continuation.size(); ++t) {
      const auto row = logprobs[static_cast<int64_t>(t)];
      EXPECT_NEAR(scores[i].logprobs[t], row[requests[i].continuation[t]].item<float>(), 1e-4);
      EXPECT_EQ(scores[i].top[t][0].first, row.argmax().item<int64_t>());
    }
  }
}

// Sampling is that of decoders: here only that it is reproducible, alone and in company, and that
// decoding gives the bits of scoring.
TEST_P(T5, SamplesDoNotDependOnTheirCompany) {
  std::vector<GenerateRequest> requests;
  for (size_t i = 0; i < sources(); ++i) {
    requests.push_back({.ids = source(i), .max_new_tokens = 9, .stop_ids = {1}, .n = 2});
    requests.back().sampling = {
        .temperature = 1, .top_k = 40, .repetition_penalty = 1.1, .seed = i};
  }
  const auto together = generate(*model, requests, {.batch = 5});
  ASSERT_EQ(together.size(), 2 * sources());
  for (size_t i = 0; i < sources(); ++i) {
    const auto alone = generate(*model, {requests[i]}, {});
    for (size_t k = 0; k < 2; ++k) {
      const auto& one = together[2 * i + k];
      EXPECT_EQ(one.ids, alone[k].ids);
      EXPECT_EQ(one.logprobs, alone[k].logprobs);
      EXPECT_EQ(one.index, static_cast<int64_t>(k));
      if (one.ids.empty()) continue;
      EXPECT_EQ(score(*model, {{.prompt = source(i), .continuation = one.ids}}, {})[0].logprobs,
                one.logprobs);
    }
  }
  EXPECT_NE(together[0].ids, together[1].ids);
}

TEST(T5Requests, RefusesWhatItCannotRead) {
  const auto model = load_t5(fixture("t5_relu"), {});
  const auto error = [&](const GenerateRequest& request) {
    return data_error_of([&] { generate(*model, {{.ids = {5}}, request}, {}); });
  };
  EXPECT_THAT(error({}), testing::HasSubstr("request 1: found an empty prompt"));
  EXPECT_THAT(error({.ids = {700}}), testing::HasSubstr("token id 700"));
  EXPECT_THAT(error({.embeddings = at::zeros({2, 3})}), testing::HasSubstr("[2, 3]"));
  EXPECT_THAT(data_error_of([&] { score(*model, {{.prompt = {5}}}, {}); }),
              testing::HasSubstr("empty continuation"));
}

// ---- vec2text
// --------------------------------------------------------------------------------------

void expect_generated(const T5Model& model, const Json& expected,
                      const std::vector<at::Tensor>& inputs) {
  std::vector<GenerateRequest> requests;
  for (const auto& one : inputs)
    requests.push_back({.embeddings = one, .max_new_tokens = 24, .stop_ids = {1}});
  const auto completions = generate(model, requests, {});
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_EQ(completions[i].ids, expected["greedy"][i]["ids"].get<Ids>()) << i;
  // lipo's settings: eight beams, a repetition penalty, no repeated trigrams.
  const auto& settings = expected["beams"][4];
  std::vector<BeamRequest> beams;
  for (const auto& one : inputs)
    beams.push_back({.prompt = {{}, one},
                     .max_new_tokens = 24,
                     .beams = settings["num_beams"],
                     .repetition_penalty = settings["repetition_penalty"],
                     .no_repeat_ngram = settings["no_repeat_ngram_size"],
                     .stop_ids = {1}});
  const auto batch = make_sequence_batch(model);
  const auto found = beam_search(*batch, beams);
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_EQ(found[i][0].ids, settings["rows"][i]["ids"][0].get<Ids>()) << i;
}

TEST(Vec2Texts, InversionAsTransformers) {
  EXPECT_TRUE(is_vec2text_folder(fixture("inversion")));
  EXPECT_FALSE(is_vec2text_folder(fixture("t5_relu")));
  const auto model = load_vec2text(fixture("inversion"), {});
  const auto& config = model->config();
  EXPECT_EQ(config.repeat_tokens, 3);
  EXPECT_EQ(config.max_tokens, 32);
  EXPECT_EQ(config.embedder, "gtr_base");
  EXPECT_TRUE(config.t5.scaled_output);
  const Truth truth("inversion");
  const auto target = truth.tensor("target"), theirs = truth.tensor("inputs");
  std::vector<at::Tensor> inputs;
  for (int64_t i = 0; i < target.size(0); ++i) {
    inputs.push_back(model->inversion_inputs(target[i]));
    EXPECT_LT(scaled_error(inputs.back(), theirs[i]), 1e-5);
  }
  expect_generated(model->t5(), truth.expected, inputs);
}

TEST(Vec2Texts, CorrectorAsTransformers) {
  const auto model = load_vec2text(fixture("corrector"), {});
  const Truth truth("corrector");
  const auto target = truth.tensor("target"), hypothesis = truth.tensor("hypothesis");
  std::vector<at::Tensor> inputs;
  for (int64_t i = 0; i < target.size(0); ++i) {
    const auto ids = truth.expected["hypotheses"][static_cast<size_t>(i)].get<Ids>();
    inputs.push_back(model->corrector_inputs(target[i], hypothesis[i], ids));
    const auto seen = inputs.back().select(1, 0).isnan().logical_not().nonzero().squeeze(1);
    EXPECT_EQ(seen.size(0), inputs.back().size(0) - 1);
    EXPECT_LT(scaled_error(inputs.back().index_select(0, seen),
                           truth.tensor("inputs." + std::to_string(i))),
              1e-5);
  }
  expect_generated(model->t5(), truth.expected, inputs);
}

}  // namespace
}  // namespace preimage::lm
