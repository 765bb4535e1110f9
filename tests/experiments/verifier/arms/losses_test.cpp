// Values computed by hand with the published formulas.
#include "arms/losses.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace preimage::verifier {
namespace {

// e+ = (0.2, 0.6), each with one failing candidate: e- = (0.7, 0.5).
GroupEnergies two_pairs() {
  return {at::tensor({0.2, 0.6}, at::kDouble), at::tensor({0.7, 0.5}, at::kDouble).unsqueeze(1),
          at::ones({2, 1}, at::kDouble)};
}

double mean_loss(const GroupEnergies& energies, const LossOptions& options) {
  return group_losses(energies, options).mean().item<double>();
}

TEST(Losses, PairsOfTheReference) {
  EXPECT_NEAR(mean_loss(two_pairs(), {.kind = "mse_paired"}), 0.37, 1e-12);
  EXPECT_NEAR(mean_loss(two_pairs(), {.kind = "mse_single"}), 0.185, 1e-12);
  const auto margin = group_losses(two_pairs(), {.kind = "margin", .mse_weight = 0});
  EXPECT_NEAR(margin[0].item<double>(), 0, 1e-12);
  EXPECT_NEAR(margin[1].item<double>(), 0.6, 1e-12);
  EXPECT_NEAR(mean_loss(two_pairs(), {.kind = "margin"}), 0.3 + 0.1 * 0.185, 1e-12);
  EXPECT_NEAR(mean_loss(two_pairs(), {.kind = "logistic", .temperature = 1, .mse_weight = 0}),
              0.609236822127, 1e-12);
}

TEST(Losses, InfoNceOfTheReference) {
  const GroupEnergies group = {at::tensor({0.1}, at::kDouble),
                               at::tensor({0.4, 0.9}, at::kDouble).unsqueeze(0),
                               at::ones({1, 2}, at::kDouble)};
  EXPECT_NEAR(mean_loss(group, {.kind = "infonce", .temperature = 0.5, .mse_weight = 0}),
              0.560020365562, 1e-12);
}

// torch's binary_cross_entropy_with_logits of s = (-1.2, 2.0) with targets (0, 1) is the mean of
// log(1 + e^-1.2) and log(1 + e^-2).
TEST(Losses, CrossEntropyTakesTheEnergyAsLogitOfFailure) {
  const GroupEnergies group = {at::tensor({-1.2}, at::kDouble),
                               at::tensor({2.0}, at::kDouble).unsqueeze(0),
                               at::ones({1, 1}, at::kDouble)};
  const double expected = (std::log1p(std::exp(-1.2)) + std::log1p(std::exp(-2.0))) / 2;
  EXPECT_NEAR(mean_loss(group, {.kind = "bce"}), expected, 1e-12);
  // Of the reference: s = (-1.2, 0.3, 2.0), targets (0, 0, 1), mean over the three.
  const double third = std::log1p(std::exp(0.3));
  EXPECT_NEAR((2 * expected + third) / 3, 0.414855240949, 1e-12);
}

TEST(Losses, AbsentFailingCandidatesChangeNothing) {
  for (const auto& kind : loss_kinds()) {
    const auto alone = group_losses(two_pairs(), {.kind = kind});
    GroupEnergies padded = two_pairs();
    padded.negative = at::cat({padded.negative, at::full({2, 3}, 0.9, at::kDouble)}, 1);
    padded.present = at::cat({padded.present, at::zeros({2, 3}, at::kDouble)}, 1);
    EXPECT_LT((group_losses(padded, {.kind = kind}) - alone).abs().max().item<double>(), 1e-12)
        << kind;
  }
}

TEST(Losses, EveryLossPullsPassingDownAndFailingUp) {
  for (const auto& kind : loss_kinds()) {
    auto energies = two_pairs();
    energies.positive = energies.positive.detach().requires_grad_();
    energies.negative = energies.negative.detach().requires_grad_();
    const auto loss = group_losses(energies, {.kind = kind, .margin = 0.9}).sum();
    const auto gradient = torch::autograd::grad({loss}, {energies.positive, energies.negative});
    EXPECT_TRUE((gradient[0] > 0).all().item<bool>()) << kind;
    EXPECT_TRUE((gradient[1] < 0).all().item<bool>()) << kind;
  }
}

}  // namespace
}  // namespace preimage::verifier
