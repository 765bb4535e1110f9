// Against GPyTorch (likelihood, gradients, a training by torch's AdamW):
// tests/bo/fixtures/gaussian_process.json, made by scripts/fixtures/make_bo_fixtures.py; and the
// reference's numeric values.
#include "preimage/bo/gaussian_process.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bo/gaussian_process_cases.hpp"
#include "preimage/base/error.hpp"
#include "preimage/bo/posterior.hpp"

namespace preimage::bo {
namespace {

TEST(GaussianProcess, LikelihoodAndGradientAgreeWithGPyTorch) {
  for (const auto& c : cases()) {
    const auto found = gp_objective(problem_of(c), c.start);
    const double expected = c.json["objective"];
    EXPECT_NEAR(found.value, expected, 1e-9 * std::abs(expected));
    EXPECT_NEAR(found.log_likelihood, c.json["log_likelihood"].get<double>(),
                1e-9 * std::abs(found.log_likelihood));
    EXPECT_EQ(found.jitter, 0);
    const double norm = c.json["gradient_norm"];
    EXPECT_NEAR(found.gradient.norm().item<double>(), norm, 1e-9 * norm);
    const int64_t every = c.json["every"], size = found.gradient.numel();
    for (size_t i = 0; i < c.json["gradient"].size(); ++i) {
      const double g = c.json["gradient"][i];
      EXPECT_NEAR(found.gradient[static_cast<int64_t>(i) * every].item<double>(), g,
                  1e-9 * std::max(std::abs(g), 1e-3 * norm))
          << c.json["n"] << ": " << i;
    }
    const auto last = static_cast<int64_t>(c.json["hyper_gradient"].size());
    for (int64_t i = 0; i < last; ++i) {
      const double g = c.json["hyper_gradient"][i];
      EXPECT_NEAR(found.gradient[size - last + i].item<double>(), g,
                  1e-9 * std::max(std::abs(g), 1e-3 * norm));
    }
  }
}

TEST(GaussianProcess, TrainingFollowsTorch) {
  for (const auto& c : cases()) {
    // Lowest losses up to epochs 0, 10, ..., 50 and 59 of GPyTorch under torch's AdamW.
    const auto model = gp_at(c.data, c.options, c.start);
    EXPECT_NEAR(model.loss, -c.json["objective"].get<double>(), 1e-9);
    auto options = c.options;
    const std::vector<int64_t> epochs = {1, 11, 21, 31, 41, 51, 60};
    for (size_t i = 0; i < epochs.size(); ++i) {
      options.epochs = epochs[i];
      const auto fitted = update_gp(model, c.data, options);
      EXPECT_EQ(fitted.epochs, epochs[i]);
      EXPECT_NEAR(fitted.loss, c.json["losses"][i].get<double>(), 1e-6)
          << i << " of " << c.json["n"];
    }
  }
}

TEST(GaussianProcess, AFitKeepsItsLowestLossAndIsRepeatable) {
  const auto all = cases();
  const auto& c = all[0];
  GpOptions options = c.options;
  options.epochs = 400, options.patience = 30, options.lr = 0.3;  // overshoots
  const base::RandomStream random(3, "unit", "gp");
  const auto model = fit_gp(c.data, options, random);
  EXPECT_LE(model.epochs, 400);
  EXPECT_NEAR(gp_at(c.data, options, model.parameters).loss, model.loss, 0);
  const std::vector<GpFit> fits = {
      {c.data, options, random}, {all[3].data, all[3].options, random}, {c.data, options, random}};
  const auto many = fit_gps(fits);
  EXPECT_TRUE(many[0].parameters.equal(model.parameters));
  EXPECT_TRUE(many[2].parameters.equal(model.parameters));
  EXPECT_FALSE(many[1].parameters.size(0) == model.parameters.size(0));
  EXPECT_THROW(fit_gp({c.data.inputs, {1, 2}, {}}, options, random), base::Error);
  auto broken = c.data;
  broken.targets[1] = NAN;
  EXPECT_THROW(fit_gp(broken, options, random), base::Error);
}

TEST(GaussianProcess, ASingleObservationAndEqualInputs) {
  const base::RandomStream random(3, "unit", "gp");
  const GpOptions options{.hidden = 8, .features = 3, .epochs = 20};
  const auto one = fit_gp({matrix({.1, .2}, 2), {.3}, {}}, options, random);
  EXPECT_NEAR(predict(one, matrix({.1, .2}, 2)).mean[0], .3, 1e-12);
  const auto equal = fit_gp({at::ones({5, 2}, at::kDouble), wave(5, 1, 1), {}}, options, random);
  EXPECT_TRUE(std::isfinite(equal.loss));
  EXPECT_GT(predict(equal, at::ones({1, 2}, at::kDouble)).std[0], 0);
}

// Variances that take the covariance below zero, so that it has no factor without jitter.
TEST(GaussianProcess, JitterIsAddedWhereTheFactorisationFails) {
  GpProblem problem{.shape = {.inputs = 1, .features = 1, .learned_noise = false},
                    .inputs = matrix({.3, .3, .3, .9}, 1),
                    .targets = {-1, .2, .8, .5},
                    .noise = {-1e-5, -1e-5, -1e-5, -1e-5}};
  const auto parameters = at::zeros({2}, at::kDouble);
  EXPECT_DOUBLE_EQ(gp_objective(problem, parameters).jitter, 1e-4);
  for (auto& v : problem.noise) v = -1e-3;
  EXPECT_DOUBLE_EQ(gp_objective(problem, parameters).jitter, 1e-2);
  for (auto& v : problem.noise) v = -1;
  EXPECT_THROW(gp_objective(problem, parameters), base::Error);
}

TEST(GaussianProcess, OneDimensionalValuesOfTheReference) {
  GpProblem problem{.shape = {.inputs = 1, .features = 1, .learned_noise = true},
                    .inputs = matrix({0, .4, 1}, 1),
                    .targets = {-1, .2, .8}};
  const auto raw = [](double x) { return std::log(std::expm1(x)); };
  EXPECT_NEAR(raw(.5), -.432752129567, 1e-12);
  EXPECT_NEAR(raw(1), .541324854613, 1e-12);
  const double share = (.01 - .001) / .099;
  const double raw_noise = std::log(share / (1 - share));
  EXPECT_NEAR(raw_noise, -2.30258509299, 1e-11);
  const auto parameters = at::tensor({raw(.5), raw(1.5), raw_noise}, at::kDouble);
  const auto hyper = gp_hyperparameters(problem.shape, parameters);
  EXPECT_NEAR(hyper.noise, .01, 1e-15);
  const auto found = gp_objective(problem, parameters);
  EXPECT_NEAR(found.log_likelihood, -3.82161217492, 1e-11);
  EXPECT_NEAR(found.log_prior, 0.295836866004 - 3.61377486166, 2e-11);
  EXPECT_NEAR(found.value, -2.37985005686, 1e-11);
}

TEST(GaussianProcess, InitialHyperparametersAndPriors) {
  const GpShape shape{.inputs = 2, .features = 2};
  const auto hyper = gp_hyperparameters(shape, at::zeros({4}, at::kDouble));
  EXPECT_NEAR(hyper.lengthscales[0], .693147180560, 1e-12);
  EXPECT_NEAR(hyper.outputscale, .693147180560, 1e-12);
  EXPECT_NEAR(hyper.noise, .0505, 1e-15);
  const auto more = gp_hyperparameters(shape, at::tensor({1.0, -2.0, 0.0, 0.0}, at::kDouble));
  EXPECT_NEAR(more.lengthscales[0], 1.31326168752, 1e-11);
  EXPECT_NEAR(more.lengthscales[1], .126928011043, 1e-12);
  // Gamma(3, 6) twice and Gamma(2, .15) at ln 2.
  const GpProblem problem{.shape = shape, .inputs = matrix({0, 0, 1, 1}, 2), .targets = {-1, 1}};
  EXPECT_NEAR(gp_objective(problem, at::zeros({4}, at::kDouble)).log_prior,
              2 * -.209777697399 - 4.26472496744, 2e-11);
}

TEST(GaussianProcess, ScalesOfTheReference) {
  const auto scale = target_scale(std::vector<double>{.20, .15, .10, .30});
  EXPECT_NEAR(scale.mean, .1875, 1e-15);
  EXPECT_NEAR(scale.std, .0853912563830, 1e-12);
  EXPECT_EQ(target_scale(std::vector<double>{.4}).std, 1);
  EXPECT_EQ(target_scale(std::vector<double>{.4, .4}).std, 1);
  const auto x = matrix({0, 5, 2, 5, 1, 5}, 2);
  const auto input = input_scale(x);
  EXPECT_EQ(input.range[1].item<double>(), 1);
  EXPECT_TRUE(input.denormalise(input.normalise(x)).equal(x));
}

}  // namespace
}  // namespace preimage::bo
