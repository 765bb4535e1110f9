// Against GPyTorch: tests/bo/fixtures/gaussian_process.json, made by
// scripts/fixtures/make_bo_fixtures.py; and the reference's numeric values.
#include "preimage/bo/posterior.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bo/gaussian_process_cases.hpp"

namespace preimage::bo {
namespace {

TEST(Posterior, AgreesWithGPyTorch) {
  for (const auto& c : cases()) {
    const auto model = gp_at(c.data, c.options, c.start);
    const auto found = predict(model, points_of(c));
    for (size_t i = 0; i < found.mean.size(); ++i) {
      EXPECT_NEAR(found.mean[i], c.json["mean"][i].get<double>(), 1e-8) << i;
      EXPECT_NEAR(found.std[i], c.json["std"][i].get<double>(), 1e-8) << i;
    }
    const auto z = model.input.normalise(points_of(c).slice(0, 3, 4));
    const auto by_mean = predict_gradient(model, z, [](int64_t, const GpRow&) {
      return GpRowWeights{1, 0};
    });
    const auto by_variance = predict_gradient(model, z, [](int64_t, const GpRow&) {
      return GpRowWeights{0, 1};
    });
    for (int64_t k = 0; k < z.size(1); ++k) {
      EXPECT_NEAR(by_mean[0][k].item<double>(), c.json["mean_slope"][k].get<double>(), 1e-8);
      EXPECT_NEAR(by_variance[0][k].item<double>(), c.json["variance_slope"][k].get<double>(),
                  1e-8);
    }
  }
}

TEST(Posterior, OneDimensionalValuesOfTheReference) {
  // Targets and inputs that both scales change: what the reference gives is in standardised units.
  const GpData data{matrix({0, .4, 1}, 1), {-1, .2, .8}, {}};
  const GpOptions options{.adapter = false};
  const auto raw = [](double x) { return std::log(std::expm1(x)); };
  const double share = (.01 - .001) / .099;
  auto model = gp_at(data, options,
                     at::tensor({raw(.5), raw(1.5), std::log(share / (1 - share))}, at::kDouble));
  // alpha of the targets as they are.
  const auto lower = model.inverse_factor;
  model.alpha = at::mv(lower.t(), at::mv(lower, at::tensor({-1.0, .2, .8}, at::kDouble)));
  const auto rows = predict_rows(model, matrix({.7, 1.2, -.2}, 1));
  const std::vector<double> mean = {.718151079483, .657294673031, -1.06888953431};
  const std::vector<double> variance = {.226583216375, .308536784146, .277709628584};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(rows[i].mean, mean[i], 6e-12);
    EXPECT_NEAR(rows[i].variance, variance[i], 6e-12);
  }
}

TEST(Posterior, RowsDoNotDependOnTheirNeighbours) {
  const auto all = cases();
  const auto model = gp_at(all[1].data, all[1].options, all[1].start);
  const auto points = matrix(wave(64 * 75, 0.6, 0.77, 0.5), 64);
  const auto together = predict_rows(model, points);
  for (const int64_t i : {0, 31, 32, 50, 74}) {
    const auto alone = predict_rows(model, points.slice(0, i, i + 1));
    EXPECT_EQ(alone[0].mean, together[static_cast<size_t>(i)].mean);
    EXPECT_EQ(alone[0].variance, together[static_cast<size_t>(i)].variance);
  }
  const auto weights = [](int64_t, const GpRow& row) { return GpRowWeights{1, row.mean}; };
  const auto slopes = predict_gradient(model, points, weights);
  EXPECT_TRUE(
      predict_gradient(model, points.slice(0, 40, 44), weights).equal(slopes.slice(0, 40, 44)));
}

}  // namespace
}  // namespace preimage::bo
