// The gradient of each sample from one pass: against a loop over samples by autograd, on every
// decoder family, and against what transformers and autograd computed
// (scripts/fixtures/make_adapter_fixtures.py).
#include "preimage/lm/adapter/sample_gradients.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/random.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"
#include "preimage/nn/attention.hpp"
#include "preimage/nn/layers.hpp"

namespace preimage::lm {
namespace {

using Ids = std::vector<int64_t>;

// Unlike lengths, prompts and weights, the last one padded on the right.
std::vector<WeightedSample> some_samples() {
  std::vector<WeightedSample> samples;
  for (const auto& [length, prompt] : {std::pair(12, 4), std::pair(7, 1), std::pair(19, 10)}) {
    Ids ids;
    for (int64_t t = 0; t < length; ++t) ids.push_back(3 + (t * 13 + length * 5) % 90);
    samples.push_back(mean_sample(ids, prompt));
  }
  auto& last = samples.back();
  for (auto& weight : last.weights) weight *= -1.5f;
  last.ids.insert(last.ids.end(), 5, 0), last.weights.insert(last.weights.end(), 5, 0.f);
  return samples;
}

// One sample's gradient through the model's ordinary differentiable pass.
at::Tensor by_autograd(const Model& base, const LiveAdapter& adapter, const WeightedSample& s) {
  const auto leaves = make_leaves(adapter.parameters, adapter.tensors, at::kFloat);
  const auto model = with_adapter(base, adapter, &leaves);
  const auto rows = std::ssize(s.ids) - 1;
  const Ids inputs(s.ids.begin(), s.ids.end() - 1), targets(s.ids.begin() + 1, s.ids.end());
  const std::vector<float> weights(s.weights.begin() + 1, s.weights.end());
  const nn::PackedAttention context(nn::make_packing({rows}, at::kCPU));
  const auto hidden = model->hidden(model->embed(at::tensor(inputs, at::kLong)), context);
  const auto logits = nn::linear(hidden, model->head()).to(at::kFloat);
  const auto logp =
      at::log_softmax(logits, 1).gather(1, at::tensor(targets, at::kLong).unsqueeze(1)).squeeze(1);
  const auto loss = -(logp * at::tensor(weights, at::kFloat)).sum();
  std::vector<at::Tensor> flat;
  for (const auto& g : torch::autograd::grad({loss}, leaves.in_order)) flat.push_back(g.flatten());
  return at::cat(flat);
}

// Parameters that are not zero, so that gradients to A are not.
void warm(LiveAdapter& adapter) {
  auto noise = at::empty_like(adapter.parameters.flat);
  fill_normal(noise, base::RandomStream(3, "knobs", "test"), 0.05);
  adapter.parameters.flat.add_(noise);
}

class SampleGradientsOf : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Families, SampleGradientsOf,
                         testing::Values("qwen2_window", "qwen3", "llama3_tied", "llama_linear",
                                         "llama_yarn_bias", "gpt_oss", "gpt_oss_mxfp4",
                                         "deepseek_v3", "deepseek_v3_fp8", "kimi_k2_int4"));

void expect_the_loop(const Model& base, const AdapterOptions& options, double bound) {
  SCOPED_TRACE(options.kind);
  auto adapter = make_adapter(base, options, 1);
  warm(adapter);
  const auto samples = some_samples();
  const auto together = sample_gradients(base, adapter, samples);
  ASSERT_EQ(together.gradients.sizes(), (std::vector<int64_t>{3, adapter.knobs()}));
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto ours = together.gradients[static_cast<int64_t>(i)];
    const auto theirs = by_autograd(base, adapter, samples[i]);
    EXPECT_GT(theirs.norm().item<double>(), 1e-4);
    EXPECT_LT(((ours - theirs).norm() / theirs.norm()).item<double>(), bound) << i;
    const auto alone = sample_gradients(base, adapter, {samples[i]});
    EXPECT_TRUE(at::equal(alone.gradients[0], ours)) << i;
  }
}

TEST_P(SampleGradientsOf, ALoopOverSamples) {
  const auto folder = fixture("families") / GetParam();
  for (const auto& [dtype, bound] : {std::pair(at::kFloat, 1e-5), std::pair(at::kBFloat16, 2e-2)}) {
    SCOPED_TRACE(dtype == at::kFloat ? "float32" : "bfloat16");
    const auto base = load_model(folder, {.dtype = dtype, .weights = WeightFormat::stored});
    AdapterOptions lora{.rank = 3}, knobs{.kind = "svd"};
    lora.targets = knobs.targets = {};
    for (const auto& module : adaptable_modules(base->config())) {
      if (module.starts_with("model.layers.1.")) lora.targets.push_back(module);
      if (module.starts_with("model.layers.0.")) knobs.targets.push_back(module);
    }
    expect_the_loop(*base, lora, bound);
    expect_the_loop(*base, knobs, bound);
  }
}

TEST(SampleGradients, PaddingOnTheRightChangesNothing) {
  const auto base = load_model(fixture("families") / "qwen3", {});
  auto adapter = make_adapter(*base, {.kind = "svd"}, 1);
  warm(adapter);
  auto samples = some_samples();
  const auto padded = sample_gradients(*base, adapter, samples);
  samples.back().ids.resize(19), samples.back().weights.resize(19);
  EXPECT_TRUE(at::equal(sample_gradients(*base, adapter, samples).gradients, padded.gradients));
}

// Weights that depend on the policy's own log-probabilities, as a loss against a reference has
// them.
TEST(SampleGradients, WeightsFromTheForwardPass) {
  const auto base = load_model(fixture("families") / "qwen3", {});
  auto adapter = make_adapter(*base, {.kind = "svd"}, 1);
  warm(adapter);
  auto samples = some_samples();
  samples[1].weights.assign(samples[1].weights.size(), 0);  // asks for nothing
  const auto logp = sample_logp(*with_adapter(*base, adapter), samples, 30);
  const auto squared = [&](size_t i, std::span<const float> of_policy,
                           std::vector<float>& weights) {
    for (size_t t = 1; t < weights.size(); ++t) {
      if (weights[t] == 0) {
        continue;
      }
      EXPECT_EQ(of_policy[t - 1], logp[i][t - 1]);
      weights[t] *= of_policy[t - 1];
    }
  };
  const auto ours =
      sample_gradients(*base, adapter, samples, {.batch_tokens = 30, .reweigh = squared});
  auto weighed = samples;
  for (size_t i = 0; i < weighed.size(); ++i) squared(i, logp[i], weighed[i].weights);
  const auto theirs = sample_gradients(*base, adapter, weighed);
  EXPECT_TRUE(at::equal(ours.gradients, theirs.gradients));
  EXPECT_EQ(ours.losses, theirs.losses);
  EXPECT_EQ(ours.losses[1], 0);
  EXPECT_EQ(ours.gradients[1].abs().max().item<float>(), 0);
  for (const float value : ours.logp[1]) EXPECT_TRUE(std::isnan(value));
}

TEST(SampleGradients, AtBZeroTheGradientToAIsZero) {
  const auto base = load_model(fixture("families") / "qwen3", {});
  const auto adapter = make_adapter(*base, {.rank = 2, .targets = {"q_proj"}}, 1);
  const auto g = sample_gradients(*base, adapter, some_samples()).gradients;
  for (const auto& m : adapter.modules) {
    EXPECT_EQ(g.narrow(1, m.first, m.rank * m.in).abs().max().item<float>(), 0);
    EXPECT_GT(g.narrow(1, m.first + m.rank * m.in, m.rank * m.out).norm().item<float>(), 0);
  }
}

// dL_b / dW of transformers and autograd, through each adapter's own chain rule at zero:
// dL/ds = diag(U' dW Vh'), dL/dB = scale dW A'.
TEST(SampleGradients, TransformersAndAutograd) {
  const auto truth = fixture("adapters") / "sample_gradients";
  const auto expected = base::read_json(truth / "expected.json");
  const SafetensorsFile tensors(truth / "expected.safetensors");
  const auto base = load_model(fixture("families") / "qwen3", {});
  std::vector<WeightedSample> samples;
  for (const auto& sample : expected["samples"])
    samples.push_back(
        mean_sample(sample["ids"].get<Ids>(), sample["prompt_tokens"].get<int64_t>()));
  const auto modules = expected["modules"].get<std::vector<std::string>>();
  const auto knobs = make_adapter(*base, {.kind = "svd", .targets = modules}, 1);
  const auto lora =
      make_adapter(*base, {.rank = 4, .alpha = 8, .train_a = false, .targets = modules}, 1);
  const auto of_knobs = sample_gradients(*base, knobs, samples);
  const auto of_lora = sample_gradients(*base, lora, samples);
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    EXPECT_NEAR(of_knobs.losses[i], expected["samples"][i]["loss"].get<double>(), 1e-5);
    for (size_t k = 0; k < modules.size(); ++k) {
      const auto& module = knobs.modules[k];
      const auto dw = tensors.read(*tensors.find(std::to_string(i) + "." + module.name));
      const auto& factors = knobs.factors.at(module.name);
      const auto ds = factors.u.dense(at::kFloat)
                          .t()
                          .matmul(dw)
                          .matmul(factors.vh.dense(at::kFloat).t())
                          .diag();
      const auto ours = of_knobs.gradients[row].narrow(0, module.first, module.count);
      EXPECT_LT(((ours - ds).norm() / ds.norm()).item<double>(), 1e-4) << i << module.name;
      const auto& m = lora.modules[k];
      const auto db = 2 * dw.matmul(lora.constant.at(m.name + ".lora_A.weight").t());
      const auto b = of_lora.gradients[row].narrow(0, m.first, m.count).view({m.out, m.rank});
      EXPECT_LT(((b - db).norm() / db.norm()).item<double>(), 1e-4) << i << module.name;
    }
  }
}

}  // namespace
}  // namespace preimage::lm
