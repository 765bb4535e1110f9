// OuroborosModel beside the PyTorch implementation in scripts/fixtures/make_verifier_fixtures.py,
// and the invariances that the original lacked.
#include "arms/ouroboros.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "preimage/lm/checkpoint/safetensors.hpp"
#include "preimage/nn/bidirectional_attention.hpp"
#include "preimage/nn/dropout.hpp"

namespace preimage::verifier {
namespace {

constexpr OuroborosConfig kTiny = {.vocab_size = 61, .hidden_size = 32, .layers = 2, .heads = 2};

const lm::SafetensorsFile& fixture() {
  static const lm::SafetensorsFile file(std::string(PREIMAGE_TEST_DATA) +
                                        "/experiments/verifier/fixtures/ouroboros.safetensors");
  return file;
}

at::Tensor stored(const std::string& name) {
  return fixture().read(*fixture().find(name));
}

// Parameters of the fixture as leaves, and the model over them.
struct Loaded {
  lm::Leaves leaves;
  std::unique_ptr<Ouroboros> model;
};

Loaded load() {
  const auto list = ouroboros_tensors(kTiny);
  auto parameters = lm::make_parameters(list, at::kCPU);
  for (auto& [name, view] : parameters.views) view.copy_(stored("parameter." + name));
  Loaded out{lm::make_leaves(parameters, list, at::kFloat), nullptr};
  out.model = std::make_unique<Ouroboros>(
      kTiny, [&](const std::string& name, at::IntArrayRef) { return out.leaves.by_name.at(name); });
  return out;
}

using Sequence = std::pair<std::vector<int64_t>, int64_t>;

std::vector<Sequence> fixture_sequences() {
  return {{{3, 1, 4, 1, 5, 8, 4, 6, 2}, 4},
          {{9, 2, 6, 4, 3, 3, 8, 3, 2, 7, 9}, 9},
          {{6, 5, 3, 5, 8, 9, 7, 5}, 1},
          {{9, 3, 2, 3, 50, 28, 8}, 3}};
}

Sequences packed(const std::vector<Sequence>& list) {
  Sequences out;
  for (const auto& [ids, targets] : list) out.add(ids, targets);
  return out;
}

TEST(Ouroboros, ParameterCountsOfTheOriginal) {
  EXPECT_EQ(parameter_count({}), 63637505);
  EXPECT_EQ(parameter_count({.hidden_size = 256, .layers = 6, .heads = 8}), 17624065);
  lm::TensorList head;
  EnergyHead::append_tensors(512, head);
  int64_t total = 0;
  for (const auto& [name, shape] : head) total += c10::multiply_integers(shape);
  EXPECT_EQ(total, 131585);
}

// Position 3, one head of 8, x = 1..8: pairs (2i, 2i + 1) turned by 3 * 10000^(-2i/8).
TEST(Ouroboros, RotaryPositionsOnInterleavedPairs) {
  const auto split = [](const at::Tensor& x) {
    return half_split(x.to(at::kFloat).unsqueeze(1), 1).squeeze(1);
  };
  const auto angle = 3 * at::pow(10000, at::arange(4, at::kDouble) * -0.25).unsqueeze(0);
  const nn::RotaryTable table{angle.cos().to(at::kFloat), angle.sin().to(at::kFloat)};
  const auto x = split(at::arange(1, 9, at::kFloat)).unsqueeze(0);
  const auto turned = nn::rotary(x, table, at::zeros({1}, at::kLong), 1).squeeze(0);
  const auto expected =
      split(at::tensor({-1.27223251272, -1.838864985141, 1.683928640731, 4.707906576486,
                        4.81777716753, 6.147277703506, 6.975968536024, 8.020963968527}));
  EXPECT_LT((turned - expected).abs().max().item<float>(), 2e-6);
}

TEST(Ouroboros, EnergiesAndGradientAgreeWithPyTorch) {
  const auto loaded = load();
  const auto energies = loaded.model->energies(packed(fixture_sequences()), {});
  EXPECT_LT((energies - stored("energies")).abs().max().item<float>(), 1e-6);
  const auto loss = (energies * at::tensor({1.0f, -2.0f, 0.5f, 3.0f})).sum();
  const auto gradients = torch::autograd::grad({loss}, loaded.leaves.in_order);
  const auto list = ouroboros_tensors(kTiny);
  for (size_t i = 0; i < list.size(); ++i) {
    const auto expected = stored("gradient." + list[i].first);
    const float scale = std::max(1e-3f, expected.abs().max().item<float>());
    EXPECT_LT((gradients[i] - expected).abs().max().item<float>(), 2e-5f * scale) << list[i].first;
  }
}

// Batches of any size and order give the same bits; nothing is padded, so nothing can leak.
TEST(Ouroboros, AnEnergyDoesNotDependOnItsCompany) {
  const auto loaded = load();
  const at::NoGradGuard no_grad;
  const auto sequences = fixture_sequences();
  std::vector<Sequence> many;
  for (size_t i = 0; i < 64; ++i) many.push_back(sequences[(i * 3) % 4]);
  const auto together = loaded.model->energies(packed(many), {});
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto alone = loaded.model->energies(packed({sequences[i]}), {});
    for (size_t j = 0; j < many.size(); ++j) {
      if (many[j] != sequences[i]) continue;
      EXPECT_TRUE(at::equal(alone[0], together[static_cast<int64_t>(j)])) << i << " " << j;
    }
  }
  at::set_num_threads(2);
  EXPECT_TRUE(at::equal(loaded.model->energies(packed(many), {}), together));
  at::set_num_threads(1);
}

// A token that no position attends to has no gradient: each sequence reaches its own tokens alone.
TEST(Ouroboros, GradientStaysWithinTheSequence) {
  const auto loaded = load();
  const auto energies = loaded.model->energies(packed({{{1, 2, 3, 4}, 2}, {{5, 6, 7, 8}, 2}}), {});
  const auto gradient = torch::autograd::grad({energies[0]}, {loaded.leaves.in_order[0]})[0];
  for (int64_t token = 0; token < 61; ++token) {
    const bool reached = token >= 1 && token <= 4;
    EXPECT_EQ(gradient[token].abs().max().item<float>() > 0, reached) << token;
  }
}

TEST(Ouroboros, TheProgramAloneIsAveraged) {
  const auto loaded = load();
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> ids = {3, 1, 4, 1, 5};
  double sum = 0;
  // With one target at the end of ever longer prefixes the mean could not be taken: compare the
  // mean over three positions with that over all five, less the first two.
  const auto three = loaded.model->energies(packed({{ids, 3}}), {})[0].item<double>();
  const auto five = loaded.model->energies(packed({{ids, 5}}), {})[0].item<double>();
  sum = 5 * five - 3 * three;
  EXPECT_GT(sum, 0);
  EXPECT_LT(sum, 2);
}

TEST(Dropout, SameStreamSameMaskAndTheRightShare) {
  const base::RandomStream stream(1, "unit", "place"), other(1, "unit", "elsewhere");
  const auto x = at::ones({100, 1000});
  const auto a = nn::dropout(x, {0.1, &stream}), b = nn::dropout(x, {0.1, &stream});
  EXPECT_TRUE(at::equal(a, b));
  EXPECT_FALSE(at::equal(a, nn::dropout(x, {0.1, &other})));
  EXPECT_NEAR((a == 0).to(at::kFloat).mean().item<float>(), 0.1, 0.005);
  EXPECT_NEAR(a.max().item<float>(), 1 / 0.9, 1e-6);
  EXPECT_NEAR(a.mean().item<float>(), 1, 0.01);
}

// A finite difference of the attention with dropout, whose mask the stream holds fast.
TEST(BidirectionalAttention, GradientWithDropout) {
  const base::RandomStream stream(3, "unit", "weights");
  const nn::HeadLayout heads{.query_heads = 2, .kv_heads = 2, .head_dim = 8, .scale = 0.4};
  const auto packing = nn::make_packing({5, 1, 9}, at::kCPU);
  at::Tensor qkv = at::empty({15, 48});
  lm::fill_normal(qkv, base::RandomStream(3, "unit", "values"), 1);
  const auto weights = at::cos(at::arange(15 * 16, at::kFloat)).view({15, 16});
  const auto value = [&](const at::Tensor& x) {
    return (nn::bidirectional_attention(x, heads, packing, {0.3, &stream}) * weights).sum();
  };
  const auto leaf = qkv.clone().requires_grad_();
  const auto gradient = torch::autograd::grad({value(leaf)}, {leaf})[0];
  const auto direction = at::sin(at::arange(15 * 48, at::kFloat)).view({15, 48});
  const float step = 1e-2f;
  const double difference =
      (value(qkv + step * direction) - value(qkv - step * direction)).item<double>() / (2 * step);
  EXPECT_NEAR(difference, (gradient * direction).sum().item<double>(), 1e-2);
  // Without dropout it is the plain form.
  const auto plain = nn::plain_bidirectional_attention(qkv, heads, packing);
  EXPECT_LT((nn::bidirectional_attention(qkv, heads, packing) - plain).abs().max().item<float>(),
            1e-5);
}

}  // namespace
}  // namespace preimage::verifier
