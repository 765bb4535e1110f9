// The acquisition's value and gradient against BoTorch's LogExpectedImprovement on the same
// process, its optimum against optimize_acqf: tests/bo/fixtures/gaussian_process.json, made by
// scripts/fixtures/make_bo_fixtures.py.
#include "preimage/bo/acquisition.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "bo/gaussian_process_cases.hpp"
#include "preimage/base/error.hpp"

namespace preimage::bo {
namespace {

TEST(Acquisition, ValueAndGradientAgreeWithBoTorch) {
  for (const auto& c : cases()) {
    const auto& expected = c.json["acquisition"];
    const auto model = gp_at(c.data, c.options, c.start);
    const double best = *std::ranges::max_element(c.data.targets);
    const auto points = model.input.normalise(points_of(c)).slice(0, 2);
    const auto found = log_ei_at(model, points, best, true);
    for (int64_t i = 0; i < points.size(0); ++i) {
      const double value = expected["values"][i];
      // BoTorch's value is in standardised units.
      EXPECT_NEAR(found.values[i].item<double>() - std::log(model.target.std), value,
                  1e-8 * std::max(1.0, std::abs(value)));
    }
    for (int64_t k = 0; k < points.size(1); ++k)
      EXPECT_NEAR(found.gradients[1][k].item<double>(), expected["gradient"][k].get<double>(),
                  1e-8 * std::max(1.0, std::abs(expected["gradient"][k].get<double>())));
    EXPECT_TRUE(log_ei_at(model, points, best, false).values.equal(found.values));
  }
}

TEST(Acquisition, OptimumIsNoWorseThanBoTorchs) {
  for (const auto& c : cases()) {
    const auto model = gp_at(c.data, c.options, c.start);
    const double best = *std::ranges::max_element(c.data.targets);
    const AcquisitionOptions options{.raw_samples = 256, .restarts = 16};
    const auto found = maximise_log_ei(model, best, options, {1, "unit", "acquisition"});
    EXPECT_GE(found.value - std::log(model.target.std),
              c.json["acquisition"]["optimum"].get<double>() - 0.02)
        << c.json["n"];
    EXPECT_GE(found.value, found.best_raw);
    EXPECT_EQ(found.value, found.final_values[found.best_start]);
    for (size_t i = 0; i < found.start_values.size(); ++i)
      EXPECT_GE(found.final_values[i], found.start_values[i]);
    const auto box = acquisition_box(model.inputs, options.margin);
    EXPECT_TRUE((found.finals.ge(box.lower) & found.finals.le(box.upper)).all().item<bool>());
    EXPECT_EQ(found.active_bounds,
              (found.best.le(box.lower) | found.best.ge(box.upper)).sum().item<int64_t>());
    EXPECT_GT(found.nearest, 0);
    const auto again = maximise_log_ei(model, best, options, {1, "unit", "acquisition"});
    EXPECT_TRUE(again.finals.equal(found.finals));
    // Refined it is no worse, in the place of the best end.
    const AcquisitionOptions finer{.raw_samples = 256, .restarts = 16, .refinements = 8};
    const auto refined = maximise_log_ei(model, best, finer, {1, "unit", "acquisition"});
    EXPECT_TRUE(refined.starts.equal(found.starts));
    EXPECT_GE(refined.value, found.value);
    EXPECT_EQ(refined.value, refined.final_values[refined.best_start]);
    EXPECT_TRUE(refined.finals[refined.best_start].equal(refined.best));
    EXPECT_EQ(log_ei_at(model, refined.best.unsqueeze(0), best, false).values[0].item<double>(),
              refined.value);
    EXPECT_TRUE((refined.best.ge(box.lower) & refined.best.le(box.upper)).all().item<bool>());
    EXPECT_GT(refined.rounds, found.rounds);
  }
}

TEST(Acquisition, ThreadsDoNotShow) {
  const auto all = cases();
  const auto model = gp_at(all[1].data, all[1].options, all[1].start);
  const AcquisitionOptions options{.raw_samples = 128, .restarts = 40};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = maximise_log_ei(model, 0.5, options, {1, "unit", "acquisition"});
  at::set_num_threads(3);
  const auto three = maximise_log_ei(model, 0.5, options, {1, "unit", "acquisition"});
  at::set_num_threads(threads);
  EXPECT_TRUE(one.finals.equal(three.finals));
  EXPECT_EQ(one.final_values, three.final_values);
}

TEST(Acquisition, BoltzmannWeightsOfTheReference) {
  const std::vector<double> values = {-3, -2.5, -1, -.2, -8};
  const std::vector<double> expected = {.1469, .1731, .2833, .3684, .0284};
  const auto weights = boltzmann_weights(values, 1);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(weights[i], expected[i], 5e-5);
  EXPECT_EQ(boltzmann_weights(std::vector<double>{2, 2}, 1), (std::vector<double>{.5, .5}));
  // exp(1e5 z) is infinite: halved until it is not.
  EXPECT_GT(boltzmann_weights(values, 1e5)[3], 0.999);
}

TEST(Acquisition, StartsDifferHoldTheHighestAndFollowTheWeights) {
  const std::vector<double> values = {-3, -2.5, -1, -.2, -8};
  std::vector<int> first(5);
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    const auto starts = boltzmann_starts(values, 3, 1, {seed, "unit", "starts"});
    EXPECT_EQ((std::set<int64_t>(starts.begin(), starts.end()).size()), 3u);
    EXPECT_TRUE(std::ranges::find(starts, 3) != starts.end());
    ++first[starts[0]];
  }
  const auto weights = boltzmann_weights(values, 1);
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(first[i] / 4000.0, weights[i], 0.025) << i;
  EXPECT_EQ(boltzmann_starts(values, 5, 1, {1, "unit", "starts"}).size(), 5u);
  EXPECT_THROW(boltzmann_starts(values, 6, 1, {1, "unit", "starts"}), base::Error);
}

TEST(Acquisition, TheBoxFollowsTheObservations) {
  const auto box = acquisition_box(matrix({0, 0, 1, 2, .5, 1}, 2), .2);
  EXPECT_TRUE(box.lower.allclose(at::tensor({-.2, -.4}, at::kDouble)));
  EXPECT_TRUE(box.upper.allclose(at::tensor({1.2, 2.4}, at::kDouble)));
}

}  // namespace
}  // namespace preimage::bo
