#include "rl/edit_policy.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace preimage::ips {
namespace {

constexpr int64_t kVocabulary = 5;

EditPolicy policy() {
  Draws draws(1, "test", "policy");
  return EditPolicy(kVocabulary, 8, draws);
}

std::vector<EditAction> all_actions(const EditState& state) {
  const auto n = std::ssize(state.tokens);
  std::vector<EditAction> out = {{EditAction::stop}};
  for (int64_t place = 0; place <= n; ++place) {
    if (place < n) out.push_back({EditAction::remove, place});
    for (int64_t token = 1; token <= kVocabulary; ++token) {
      if (n < state.most_tokens) out.push_back({EditAction::add, place, token});
      if (place < n) out.push_back({EditAction::replace, place, token});
    }
  }
  return out;
}

// The factors make one distribution over everything that is allowed, and its entropy is the sum of
// conditional ones.
TEST(EditPolicy, IsADistributionWithItsEntropy) {
  const auto p = policy();
  for (const auto& tokens : std::vector<std::vector<int64_t>>{{}, {3}, {1, 0, 5}, {2, 2, 4, 1}}) {
    const EditState state{tokens, 4, 0.25, 0.5};
    const auto actions = all_actions(state);
    const auto out = p.evaluate(std::vector<EditState>(actions.size(), state), actions);
    double sum = 0, entropy = 0;
    for (int64_t i = 0; i < out.log_probs.size(0); ++i) {
      const double log_prob = out.log_probs[i].item<double>();
      sum += std::exp(log_prob), entropy -= std::exp(log_prob) * log_prob;
    }
    EXPECT_NEAR(sum, 1, 1e-5) << tokens.size();
    EXPECT_NEAR(entropy, out.entropies[0].item<double>(), 1e-5) << tokens.size();
  }
}

TEST(EditPolicy, DrawsWhatItSays) {
  const auto p = policy();
  const EditState state{{1, 2}, 2, 0, 0};
  std::vector<double> counts(4, 0);
  constexpr int kDraws = 2000;
  double stops = 0;
  for (int i = 0; i < kDraws; ++i) {
    Draws draws(static_cast<uint64_t>(i), "test", "draw");
    const auto sample = p.sample(state, draws);
    counts[static_cast<size_t>(sample.action.type)] += 1;
    if (i < 20) {
      const auto out = p.evaluate({state}, {sample.action});
      EXPECT_NEAR(sample.log_prob, out.log_probs[0].item<double>(), 1e-5);
      EXPECT_NEAR(sample.value, out.values[0].item<double>(), 1e-6);
    }
  }
  stops = std::exp(p.evaluate({state}, {{EditAction::stop}}).log_probs[0].item<double>());
  EXPECT_EQ(counts[EditAction::add], 0);  // the prompt is as long as it may be
  EXPECT_NEAR(counts[EditAction::stop] / kDraws, stops,
              4 * std::sqrt(stops * (1 - stops) / kDraws));
}

TEST(EditPolicy, BitsDoNotDependOnThreads) {
  const auto p = policy();
  const EditState state{{1, 2, 3}, 8, 0.5, 0.1};
  const auto gradient = [&](int threads) {
    at::set_num_threads(threads);
    auto copy = policy();
    const auto out = copy.evaluate({state, {{4}, 8, 0, 0}},
                                   {{EditAction::replace, 1, 2}, {EditAction::add, 0, 1}});
    return torch::autograd::grad({out.log_probs.sum() + out.entropies.sum() + out.values.sum()},
                                 {copy.parameters()})[0];
  };
  const auto one = gradient(1), three = gradient(3);
  EXPECT_TRUE(at::equal(one, three));
  EXPECT_GT(one.abs().sum().item<double>(), 0);
}

}  // namespace
}  // namespace preimage::ips
