#include "arms/cowboys.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace preimage::lipo {
namespace {

// A text is its first latent in digits; weights are a normal likelihood, so that the posterior is
// known: prior N(0, 1), likelihood N(1.5, 0.5^2) -> mean 1.2, variance 0.2.
ChainTarget normal_target() {
  return {[](const at::Tensor& latents) {
            std::vector<std::string> out;
            for (int64_t i = 0; i < latents.size(0); ++i)
              out.push_back(std::to_string(latents[i][0].item<double>()));
            return out;
          },
          [](const std::vector<std::string>& texts) {
            std::vector<double> out;
            for (const auto& text : texts) out.push_back(-2 * std::pow(std::stod(text) - 1.5, 2));
            return out;
          }};
}

TEST(Cowboys, ChainsSampleThePosterior) {
  const CowboysOptions options{.chains = 200, .steps = 60, .step_size = 0.6};
  const auto chains = sample_posterior(at::zeros({200, 3}, at::kDouble), normal_target(), options,
                                       {1, "unit", "chains"});
  double mean = 0, square = 0, other = 0;
  for (const auto& state : chains.last) {
    const double z = state.latent[0].item<double>();
    mean += z / 200;
    square += z * z / 200;
    other += std::pow(state.latent[1].item<double>(), 2) / 200;
  }
  EXPECT_NEAR(mean, 1.2, 0.1);
  EXPECT_NEAR(square - mean * mean, 0.2, 0.07);
  EXPECT_NEAR(other, 1, 0.3);  // the prior, where no weight depends on it
  EXPECT_EQ(chains.visited.size(), 200u * 61);
  EXPECT_GT(chains.accepted, 200 * 60 / 5);
  EXPECT_LT(chains.accepted, 200 * 60);
}

TEST(Cowboys, LatentsWithoutWordsAreLeftAndNeverTaken) {
  auto target = normal_target();
  target.words = [](const at::Tensor& latents) {
    std::vector<std::string> out;
    for (int64_t i = 0; i < latents.size(0); ++i) {
      const double z = latents[i][0].item<double>();
      out.push_back(z > 0 ? std::to_string(z) : "");
    }
    return out;
  };
  target.log_weights = [](const std::vector<std::string>& texts) {
    return std::vector<double>(texts.size(), 0.0);
  };
  const auto chains =
      sample_posterior(at::full({20, 2}, -1.0, at::kDouble), target,
                       {.chains = 20, .steps = 40, .step_size = 0.8}, {2, "unit", "chains"});
  for (const auto& state : chains.last) EXPECT_FALSE(state.text.empty());
}

}  // namespace
}  // namespace preimage::lipo
