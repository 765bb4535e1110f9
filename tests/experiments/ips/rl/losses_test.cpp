// The reference's values, and what stable-baselines3 gives (fixtures/peers.json).
#include "rl/losses.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "preimage/base/json.hpp"

namespace preimage::ips {
namespace {

const base::Json& peers() {
  static const auto json =
      base::read_json(std::string(PREIMAGE_TEST_DATA) + "/experiments/ips/fixtures/peers.json");
  return json;
}

at::Tensor tensor_of(const base::Json& json) {
  return at::tensor(json.get<std::vector<double>>(), at::kDouble);
}

std::vector<Step> reference_steps(bool terminal, double last) {
  return {{0, 0.5, 0.4}, {0, 0.4, 0.3}, {1, 0.3, last, terminal, true}};
}

// Value 8.
TEST(Advantages, OfTheReference) {
  const auto ended = gae(reference_steps(true, 0), 0.99, 0.95);
  EXPECT_NEAR(ended.advantages[0], 0.418306675, 1e-15);
  EXPECT_NEAR(ended.advantages[1], 0.55535, 1e-15);
  EXPECT_NEAR(ended.advantages[2], 0.7, 1e-15);
  EXPECT_NEAR(ended.returns[0], 0.918306675, 1e-15);
  EXPECT_NEAR(ended.returns[1], 0.95535, 1e-15);
  EXPECT_NEAR(ended.returns[2], 1, 1e-15);
  const auto cut = gae(reference_steps(false, 0.25), 0.99, 0.95);
  EXPECT_NEAR(cut.advantages[0], 0.637230386875, 1e-15);
  EXPECT_NEAR(cut.advantages[1], 0.78812375, 1e-15);
  EXPECT_NEAR(cut.advantages[2], 0.9475, 1e-15);
}

TEST(Advantages, AsInStableBaselines) {
  for (const auto& one : peers().at("advantages")) {
    const auto rewards = one.at("rewards").get<std::vector<double>>();
    const auto values = one.at("values").get<std::vector<double>>();
    std::vector<Step> steps;
    for (size_t t = 0; t < rewards.size(); ++t) {
      const bool end = one.at("ends")[t].get<bool>();
      const double next =
          t + 1 < rewards.size() ? values[t + 1] : one.at("last_value").get<double>();
      steps.push_back({rewards[t], values[t], next, end, end});
    }
    const auto found = gae(steps, one.at("gamma").get<double>(), one.at("lambda").get<double>());
    for (size_t t = 0; t < steps.size(); ++t) {
      EXPECT_NEAR(found.advantages[t], one.at("advantages")[t].get<double>(), 2e-6);
      EXPECT_NEAR(found.returns[t], one.at("returns")[t].get<double>(), 2e-6);
    }
  }
}

TEST(Returns, OfEachEpisodeAndTheirBaselines) {
  const std::vector<Step> steps = {{1}, {2, 0, 0, true, true}, {4, 0, 0, true, true}};
  EXPECT_EQ(discounted_returns(steps, 0.5), (std::vector<double>{2, 2, 4}));
  const auto b = leave_one_out({{1, 2}, {3}, {5, 6}});
  EXPECT_EQ(b[0], (std::vector<double>{4, 3}));
  EXPECT_EQ(b[1], (std::vector<double>{3}));
  EXPECT_EQ(leave_one_out({{7}})[0], (std::vector<double>{0}));
}

PolicyBatch one_action(double ratio, double advantage) {
  const auto one = [](double value) { return at::full({1}, value, at::kDouble); };
  return {one(std::log(ratio)), one(0), one(advantage), one(0), one(0), one(0)};
}

// Value 9.
TEST(Ppo, ClippedTermsOfTheReference) {
  const auto policy = [](double ratio, double advantage) {
    return ppo_loss(one_action(ratio, advantage), {}).policy;
  };
  EXPECT_NEAR(policy(1.3, 1), -1.2, 1e-12);
  EXPECT_NEAR(policy(1.3, -1), 1.3, 1e-12);
  EXPECT_NEAR(policy(0.7, 1), -0.7, 1e-12);
  EXPECT_NEAR(policy(0.7, -1), 0.8, 1e-12);
  EXPECT_NEAR(policy(1.1, 2), -2.2, 1e-12);
}

TEST(Ppo, LossesAndGradientsAsInStableBaselines) {
  const auto& one = peers().at("ppo");
  auto fresh = tensor_of(one.at("new")).requires_grad_();
  auto values = tensor_of(one.at("values")).requires_grad_();
  const auto loss =
      ppo_loss({fresh, tensor_of(one.at("old")), standardised(tensor_of(one.at("advantages"))),
                values, tensor_of(one.at("returns")), tensor_of(one.at("entropies"))},
               {});
  EXPECT_NEAR(loss.policy, one.at("policy_loss").get<double>(), 1e-12);
  EXPECT_NEAR(loss.value, one.at("value_loss").get<double>(), 1e-12);
  EXPECT_NEAR(loss.total.item<double>(), one.at("loss").get<double>(), 1e-12);
  EXPECT_NEAR(loss.divergence, one.at("divergence").get<double>(), 1e-12);
  const auto gradients = torch::autograd::grad({loss.total}, {fresh, values});
  EXPECT_TRUE(at::allclose(gradients[0], tensor_of(one.at("gradient_new")), 1e-10, 1e-12));
  EXPECT_TRUE(at::allclose(gradients[1], tensor_of(one.at("gradient_values")), 1e-10, 1e-12));
}

// Value 10.
TEST(Reinforce, GradientOfTheReference) {
  auto logits = at::tensor({1.0, 0.0, -1.0}, at::kDouble).requires_grad_();
  const auto log_probs = at::log_softmax(logits, 0);
  const auto entropy = -(log_probs.exp() * log_probs).sum();
  EXPECT_NEAR(entropy.item<double>(), 0.832395581840, 1e-12);
  const auto loss = reinforce_loss({log_probs.slice(0, 1, 2),
                                    {},
                                    at::full({1}, 0.8 - 0.3, at::kDouble),
                                    {},
                                    {},
                                    entropy.unsqueeze(0)},
                                   {.entropy_weight = 0});
  const auto gradient = torch::autograd::grad({loss.total}, {logits})[0];
  const std::vector<double> expected = {0.332620477887, -0.377635764473, 0.045015286585};
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_NEAR(gradient[i].item<double>(), expected[static_cast<size_t>(i)], 1e-12);
}

// Value 11.
TEST(Dpo, LossOfTheReference) {
  const auto one = [](double value) { return at::full({1}, value, at::kDouble); };
  EXPECT_NEAR(dpo_loss({one(-10), one(-12), one(-15), one(-14)}, 0.1).item<double>(),
              0.554355244469, 1e-12);
}

}  // namespace
}  // namespace preimage::ips
