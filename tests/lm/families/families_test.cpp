// Every decoder family against what transformers computed with the same checkpoints
// (scripts/fixtures/make_decoder_fixtures.py), and each row against itself in other company.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"
#include "preimage/lm/generate/generate.hpp"

namespace preimage::lm {
namespace {

using Ids = std::vector<int64_t>;

struct Case {
  const char* folder;
  const char* expected;  // the folder of the numbers; the same checkpoint in another layout
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.folder;
}

class Families : public testing::TestWithParam<Case> {
 protected:
  std::filesystem::path folder = fixture("families") / GetParam().folder;
  std::filesystem::path truth = fixture("families") / GetParam().expected;
  base::Json expected = base::read_json(truth / "expected.json");
  SafetensorsFile tensors{truth / "expected.safetensors"};

  at::Tensor tensor(const std::string& name) const { return tensors.read(*tensors.find(name)); }
  Ids sequence(size_t i) const { return expected["sequences"][i].get<Ids>(); }
};
const Case kCases[] = {{"llama3_tied", "llama3_tied"},
                       {"llama_linear", "llama_linear"},
                       {"llama_yarn_bias", "llama_yarn_bias"},
                       {"qwen3", "qwen3"},
                       {"qwen3_window", "qwen3_window"},
                       {"qwen2_window", "qwen2_window"},
                       {"gpt_oss", "gpt_oss"},
                       {"gpt_oss_mxfp4", "gpt_oss_mxfp4"},
                       {"gpt_oss_mxfp4_original", "gpt_oss_mxfp4"},
                       {"deepseek_v3", "deepseek_v3"},
                       {"deepseek_v3_fp8", "deepseek_v3_fp8"},
                       {"kimi_k2_int4", "kimi_k2_int4"}};
INSTANTIATE_TEST_SUITE_P(Decoder, Families, testing::ValuesIn(kCases),
                         [](const auto& one) { return std::string(one.param.folder); });

at::Tensor packed_logits(const Model& model, const at::Tensor& x, const Ids& lengths) {
  const nn::PackedAttention context(nn::make_packing(lengths, at::kCPU));
  return nn::linear(model.hidden(x, context), model.head());
}

at::Tensor logits(const Model& model, const Ids& ids) {
  return packed_logits(model, model.embed(at::tensor(ids, at::kLong)),
                       {static_cast<int64_t>(ids.size())});
}

double scaled_error(const at::Tensor& ours, const at::Tensor& theirs) {
  const auto far = (ours.to(at::kFloat) - theirs.to(at::kFloat)).abs().max();
  return (far / theirs.to(at::kFloat).abs().max()).item<double>();
}

TEST_P(Families, LogitsOfTransformers) {
  const at::NoGradGuard no_grad;
  for (const auto weights : {WeightFormat::decoded, WeightFormat::stored}) {
    const auto model = load_model(folder, {.weights = weights});
    for (size_t i = 0; i < expected["sequences"].size(); ++i) {
      EXPECT_LT(scaled_error(logits(*model, sequence(i)), tensor("logits." + std::to_string(i))),
                1e-5)
          << i << " " << weight_format_name(weights);
    }
  }
}

TEST_P(Families, LogitsInBfloat16) {
  const at::NoGradGuard no_grad;
  const auto model = load_model(folder, {.dtype = at::kBFloat16});
  for (size_t i = 0; i < expected["sequences"].size(); ++i) {
    EXPECT_LT(scaled_error(logits(*model, sequence(i)), tensor("bf16." + std::to_string(i))), 2e-2)
        << i;
  }
}

TEST_P(Families, GreedyTokensOfTransformers) {
  const auto model = load_model(folder, {});
  std::vector<GenerateRequest> requests;
  for (const auto& one : expected["greedy"])
    requests.push_back({.ids = one["prompt"].get<Ids>(), .max_new_tokens = 24});
  const auto completions = generate(*model, requests, {});
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(completions[i].ids, expected["greedy"][i]["ids"].get<Ids>()) << i;
}

TEST_P(Families, GradientOfTransformers) {
  for (const auto weights : {WeightFormat::decoded, WeightFormat::stored}) {
    const auto model = load_model(folder, {.weights = weights});
    const auto x = tensor("soft.inputs_embeds").requires_grad_();
    const auto out = packed_logits(*model, x, {x.size(0)});
    const auto loss = (at::log_softmax(out, 1) * tensor("soft.weights")).sum();
    EXPECT_LT(scaled_error(torch::autograd::grad({loss}, {x})[0], tensor("soft.grad")), 1e-5)
        << weight_format_name(weights);
  }
}

// Rows of hidden states, and of the gradient to the embeddings, of a sequence alone and of the same
// among others, on one thread and on two: bit by bit.
void expect_rows_alone(const Model& model, const std::vector<Ids>& texts) {
  const auto pass = [&](const std::vector<size_t>& order, size_t which) {
    Ids ids, lengths;
    int64_t first = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      const auto& text = texts[order[i]];
      if (i < which) first += static_cast<int64_t>(text.size());
      ids.insert(ids.end(), text.begin(), text.end());
      lengths.push_back(static_cast<int64_t>(text.size()));
    }
    const auto x = model.embed(at::tensor(ids, at::kLong)).detach().requires_grad_();
    const auto out = packed_logits(model, x, lengths);
    const auto gradient = torch::autograd::grad({out}, {x}, {at::ones_like(out)})[0];
    const int64_t size = lengths[which];
    return at::cat({out.detach().narrow(0, first, size), gradient.narrow(0, first, size)}, 1);
  };
  const int threads = at::get_num_threads();
  for (size_t i = 0; i < texts.size(); ++i) {
    at::set_num_threads(1);
    const auto alone = pass({i}, 0);
    EXPECT_TRUE(at::equal(pass({2, i, 1}, 1), alone)) << i;
    at::set_num_threads(2);
    EXPECT_TRUE(at::equal(pass({1, 0, 0, i}, 3), alone)) << i;
  }
  at::set_num_threads(threads);
}

TEST_P(Families, ARowDoesNotDependOnItsCompany) {
  for (const auto weights : {WeightFormat::decoded, WeightFormat::stored}) {
    SCOPED_TRACE(weight_format_name(weights));
    expect_rows_alone(*load_model(folder, {.weights = weights}),
                      {sequence(0), sequence(1), sequence(2)});
  }
  SCOPED_TRACE("bfloat16");
  expect_rows_alone(*load_model(folder, {.dtype = at::kBFloat16}),
                    {sequence(0), sequence(1), sequence(2)});
}

// One scale for each output channel: int8 errs by half a step of 1/127, fp8 by 2^-4 of each number.
TEST_P(Families, QuantizedOnLoadStaysNear) {
  const at::NoGradGuard no_grad;
  const auto ids = sequence(1);
  const auto exact = logits(*load_model(folder, {}), ids);
  EXPECT_LT(scaled_error(logits(*load_model(folder, {.weights = WeightFormat::int8}), ids), exact),
            0.05);
  EXPECT_LT(scaled_error(logits(*load_model(folder, {.weights = WeightFormat::fp8}), ids), exact),
            0.2);
}

// A cached, batched generation scores each token as one pass over the whole sequence does.
TEST_P(Families, GenerationMeetsThePackedPass) {
  const at::NoGradGuard no_grad;
  const auto model = load_model(folder, {});
  std::vector<GenerateRequest> requests;
  for (const auto& one : expected["greedy"])
    requests.push_back({.ids = one["prompt"].get<Ids>(), .max_new_tokens = 12});
  const auto completions = generate(*model, requests, {});
  for (size_t i = 0; i < requests.size(); ++i) {
    Ids ids = requests[i].ids;
    const auto prompt = static_cast<int64_t>(ids.size());
    ids.insert(ids.end(), completions[i].ids.begin(), completions[i].ids.end());
    const auto logp = at::log_softmax(logits(*model, ids).narrow(0, prompt - 1, 12), 1, at::kFloat);
    for (int64_t t = 0; t < 12; ++t) {
      EXPECT_NEAR(logp[t][ids[prompt + t]].item<float>(), completions[i].logprobs[t], 1e-5)
          << i << " " << t;
    }
  }
}

TEST_P(Families, ParametersAreThoseOfTheTensors) {
  const auto config = read_model_config(folder);
  int64_t total = 0;
  for (const auto& [name, shape] : expected_tensors(config)) total += c10::multiply_integers(shape);
  EXPECT_EQ(config.parameters(), total);
}

TEST_P(Families, AMissingOrExtraTensorIsRefused) {
  const Folder copy;
  std::filesystem::copy(folder / "config.json", copy / "config.json");
  const SafetensorsFile file(folder / "model.safetensors");
  std::vector<std::pair<std::string, at::Tensor>> kept;
  for (const auto& info : file.tensors()) {
    if (!info.name.ends_with("norm.weight") && !info.name.ends_with("norm.scale"))
      kept.emplace_back(info.name, file.read(info));
  }
  kept.emplace_back("model.layers.0.stranger", at::zeros({1}));
  write_safetensors(copy / "model.safetensors", kept);
  const auto error = data_error_of([&] { load_model(copy.path(), {}); });
  EXPECT_THAT(error, testing::HasSubstr("1 extra (model.layers.0.stranger)"));
  EXPECT_THAT(error, testing::ContainsRegex(" missing \\(.*norm\\.(weight|scale)"));
}

// 14B in 16 GB: 14.77e9 weights, of which the embedding (0.78e9) stays in bfloat16.
TEST(WeightBytes, AQuantized14BFitsASixteenGigabyteCard) {
  ModelConfig c;
  c.family = "qwen2";
  c.hidden_size = 5120, c.intermediate_size = 13824, c.layers = 48;
  c.query_heads = 40, c.kv_heads = 8, c.head_dim = 128, c.vocab_size = 152064, c.qkv_bias = true;
  const double plain = weight_bytes(c, {.dtype = at::kBFloat16, .device = at::kCUDA});
  EXPECT_EQ(plain, 2 * 14'770'033'664.0);
  const double int8 =
      weight_bytes(c, {.dtype = at::kBFloat16, .device = at::kCUDA, .weights = WeightFormat::int8});
  EXPECT_LT(int8, 15.7e9);
  EXPECT_GT(int8, 15.5e9);
}

// The weights of the copy are all NaN: who read one would say so.
TEST(WeightBytes, WhatDoesNotFitIsRefusedBeforeAWeightIsRead) {
  const Folder copy;
  const auto from = fixture("qwen2_tied");
  for (const char* name : {"config.json", "generation_config.json"})
    std::filesystem::copy(from / name, copy / name);
  std::vector<std::pair<std::string, at::Tensor>> spoilt;
  const SafetensorsFile file(from / "model.safetensors");
  for (const auto& info : file.tensors())
    spoilt.emplace_back(info.name, at::full_like(file.read(info), NAN));
  write_safetensors(copy / "model.safetensors", spoilt);
  EXPECT_THAT(data_error_of([&] { load_model(copy.path(), {}); }), testing::HasSubstr("NaN"));
  try {
    load_model(copy.path(), {.memory = 1000});
    ADD_FAILURE() << "it was loaded";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::unavailable);
    EXPECT_THAT(error.what(), testing::ContainsRegex("the weights need .* has 1000 B free"));
  }
}

}  // namespace
}  // namespace preimage::lm
