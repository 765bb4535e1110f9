// Whole decoders against what transformers computed with the same checkpoints
// (scripts/fixtures/make_lm_fixtures.py), and against themselves in other company.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <bit>

#include "lm/fixture.hpp"
#include "preimage/lm/generate/generate.hpp"

namespace preimage::lm {
namespace {

using Ids = std::vector<int64_t>;

class Decoders : public testing::TestWithParam<const char*> {
 protected:
  // The untied checkpoint is stored in bfloat16; all were computed in float32.
  std::shared_ptr<const Model> model = load_model(fixture(GetParam()), {});
  base::Json expected = base::read_json(fixture(GetParam()) / "expected.json");
  SafetensorsFile tensors{fixture(GetParam()) / "expected.safetensors"};

  at::Tensor tensor(const std::string& name) const { return tensors.read(*tensors.find(name)); }
  at::Tensor logits(const at::Tensor& x) const {
    return nn::linear(
        model->hidden(x, nn::PackedAttention(nn::make_packing({x.size(0)}, at::kCPU))),
        model->head());
  }
};
INSTANTIATE_TEST_SUITE_P(Qwen2, Decoders,
                         testing::Values("qwen2_tied", "qwen2_untied", "qwen2_rope"));

double scaled_error(const at::Tensor& ours, const at::Tensor& theirs) {
  return ((ours - theirs).abs().max() / theirs.abs().max()).item<double>();
}

TEST_P(Decoders, LogitsOfTransformers) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < expected["sequences"].size(); ++i) {
    const auto ids = expected["sequences"][i].get<Ids>();
    const auto theirs = tensor("logits." + std::to_string(i));
    EXPECT_LT(scaled_error(logits(model->embed(at::tensor(ids, at::kLong))), theirs), 1e-5) << i;
  }
}

TEST_P(Decoders, GreedyTokensOfTransformers) {
  std::vector<GenerateRequest> requests;
  for (const auto& one : expected["greedy"])
    requests.push_back({.ids = one["prompt"].get<Ids>(), .max_new_tokens = 24});
  const auto completions = generate(*model, requests, {});
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(completions[i].ids, expected["greedy"][i]["ids"].get<Ids>()) << i;
    EXPECT_EQ(completions[i].finish_reason, "length");
  }
}

TEST_P(Decoders, SoftPromptGradientOfTransformers) {
  const auto& soft = expected["soft"];
  auto targets = soft["target"].get<Ids>();
  targets.push_back(soft["eos"].get<int64_t>());
  const auto x = tensor("soft.inputs_embeds").requires_grad_();
  const auto rows =
      logits(x).narrow(0, soft["k"].get<int64_t>(), static_cast<int64_t>(targets.size()));
  const auto nll =
      -at::log_softmax(rows, 1).gather(1, at::tensor(targets, at::kLong).unsqueeze(1)).squeeze(1);
  EXPECT_LT(scaled_error(nll.detach(), tensor("soft.nll")), 1e-5);
  const auto gradient = torch::autograd::grad({nll.sum()}, {x})[0];
  EXPECT_LT(scaled_error(gradient, tensor("soft.grad")), 1e-5);
}

// The rows of a table are what a soft prompt of the same tokens is; so its greedy continuation is
// known.
TEST_P(Decoders, GreedyFromASoftPrompt) {
  std::vector<GenerateRequest> requests;
  for (const auto& one : expected["greedy"]) {
    const auto ids = one["prompt"].get<Ids>();
    const auto split = static_cast<int64_t>(ids.size() + 1) / 2;
    const Ids head(ids.begin(), ids.begin() + split), rest(ids.begin() + split, ids.end());
    requests.push_back({.ids = rest,
                        .embeddings = model->embed(at::tensor(head, at::kLong)).to(at::kDouble),
                        .max_new_tokens = 24});
  }
  const auto completions = generate(*model, requests, {.batch = 2});
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(completions[i].ids, expected["greedy"][i]["ids"].get<Ids>()) << i;
}

// Everything of a completion that numbers have a say in.
std::vector<int64_t> bits_of(const Completion& completion) {
  std::vector<int64_t> bits(completion.ids);
  for (const float logprob : completion.logprobs) bits.push_back(std::bit_cast<int32_t>(logprob));
  for (const auto& step : completion.top) {
    for (const auto& [id, logprob] : step)
      bits.push_back(id), bits.push_back(std::bit_cast<int32_t>(logprob));
  }
  return bits;
}

TEST_P(Decoders, ACompletionDoesNotDependOnItsCompany) {
  std::vector<GenerateRequest> requests;
  const int64_t vocab = model->config().vocab_size;
  for (const int64_t length : {1, 40, 3, 17, 2, 9, 33}) {
    GenerateRequest request{.max_new_tokens = 5 + length % 7 * 6, .top = length % 3};
    for (int64_t i = 0; i < length; ++i)
      request.ids.push_back((length * 31 + i * i * 7 + 5) % vocab);
    requests.push_back(request);
  }
  requests[4].embeddings = tensor("adam.c0");
  std::vector<std::vector<int64_t>> alone;
  for (const auto& request : requests) alone.push_back(bits_of(generate(*model, {request}, {})[0]));
  const std::vector<size_t> order = {3, 6, 0, 5, 1, 4, 2};
  std::vector<GenerateRequest> shuffled;
  for (const size_t i : order) shuffled.push_back(requests[i]);
  const int threads = at::get_num_threads();
  for (const int count : {1, 2}) {
    at::set_num_threads(count);
    for (const auto& options :
         {GenerateOptions{}, GenerateOptions{.batch = 3, .prefill_tokens = 20}}) {
      const auto together = generate(*model, shuffled, options);
      for (size_t i = 0; i < order.size(); ++i) {
        EXPECT_EQ(bits_of(together[i]), alone[order[i]])
            << "request " << order[i] << ", " << count << " threads, batch " << options.batch;
      }
    }
  }
  at::set_num_threads(threads);
}

TEST_P(Decoders, StopsWhereToldTo) {
  const auto prompt = expected["greedy"][0]["prompt"].get<Ids>(),
             ids = expected["greedy"][0]["ids"].get<Ids>();
  const auto first = std::find(ids.begin(), ids.end(), ids[5]);
  const auto stopped = generate(*model, {{.ids = prompt, .stop_ids = {ids[5]}}}, {})[0];
  EXPECT_EQ(stopped.ids, Ids(ids.begin(), first));
  EXPECT_EQ(stopped.finish_reason, "eos");
  GenerateOptions options;
  options.stop = [](const Completion& so_far) { return so_far.ids.size() == 3; };
  const auto told =
      generate(*model, {{.ids = prompt}, {.ids = prompt, .max_new_tokens = 0}}, options);
  EXPECT_EQ(told[0].ids, Ids(ids.begin(), ids.begin() + 3));
  EXPECT_EQ(told[0].finish_reason, "stop");
  EXPECT_TRUE(told[1].ids.empty());
  EXPECT_EQ(told[1].finish_reason, "length");
}

TEST_P(Decoders, RefusesWhatItCannotRead) {
  const auto error = [&](const GenerateRequest& request) {
    return data_error_of([&] { generate(*model, {{.ids = {5}}, request}, {}); });
  };
  EXPECT_THAT(error({}), testing::HasSubstr("request 1: found an empty prompt"));
  EXPECT_THAT(error({.ids = {5, 7000}}), testing::HasSubstr("request 1: found token id 7000"));
  EXPECT_THAT(error({.ids = {-1}}), testing::HasSubstr("token id -1"));
  EXPECT_THAT(error({.ids = {5}, .max_new_tokens = 256}),
              testing::HasSubstr("request 1: needs 257 tokens"));
  EXPECT_THAT(error({.embeddings = at::zeros({2, 3})}), testing::HasSubstr("embeddings [2, 3]"));
}

}  // namespace
}  // namespace preimage::lm
