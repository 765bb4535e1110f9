// Against SciPy's L-BFGS-B: tests/optim/fixtures/lbfgs_box.json, made by
// scripts/fixtures/make_bo_fixtures.py.
#include "preimage/optim/lbfgs_box.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <numeric>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"

namespace preimage::optim {
namespace {

using Row = std::vector<double>;

double rosenbrock(const Row& x, double* g) {
  double value = 0;
  std::fill_n(g, x.size(), 0.0);
  for (size_t i = 0; i + 1 < x.size(); ++i) {
    const double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
    value += 100 * a * a + b * b;
    g[i] += -400 * x[i] * a - 2 * b;
    g[i + 1] += 200 * a;
  }
  return value;
}

double styblinski(const Row& x, double* g) {
  double value = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double s = x[i] * x[i];
    value += 0.5 * (s * s - 16 * s + 5 * x[i]);
    g[i] = 0.5 * (4 * s * x[i] - 32 * x[i] + 5);
  }
  return value;
}

double steep(const Row& x, double* g) {
  double value = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double scale =
        std::pow(10.0, 5.0 * static_cast<double>(i) / static_cast<double>(x.size() - 1));
    const double off = x[i] - (i % 2 == 0 ? 1.5 : 0.15);
    value += 0.5 * scale * off * off;
    g[i] = scale * off;
  }
  return value;
}

double beale(const Row& x, double* g) {
  const double constants[] = {1.5, 2.25, 2.625};
  double value = 0;
  g[0] = g[1] = 0;
  for (int k = 1; k <= 3; ++k) {
    const double power = std::pow(x[1], k);
    const double t = constants[k - 1] - x[0] + x[0] * power;
    value += t * t;
    g[0] += 2 * t * (power - 1);
    g[1] += 2 * t * x[0] * k * std::pow(x[1], k - 1);
  }
  return value;
}

double levy(const Row& x, double* g) {
  constexpr double pi = std::numbers::pi;
  const size_t last = x.size() - 1;
  double value = 0;
  for (size_t i = 0; i <= last; ++i) {
    const double w = 1 + (x[i] - 1) / 4;
    g[i] = 0;
    if (i == 0) {
      value += std::pow(std::sin(pi * w), 2);
      g[i] += 2 * pi * std::sin(pi * w) * std::cos(pi * w);
    }
    const double angle = i == last ? 2 * pi * w : pi * w + 1;
    const double weight = i == last ? 1 : 10, speed = i == last ? 2 * pi : pi;
    const double s = std::sin(angle), c = std::cos(angle);
    value += (w - 1) * (w - 1) * (1 + weight * s * s);
    g[i] += 2 * (w - 1) * (1 + weight * s * s) + (w - 1) * (w - 1) * 2 * weight * speed * s * c;
    g[i] /= 4;
  }
  return value;
}

using Function = double (*)(const Row&, double*);

Function function_named(const std::string& name) {
  if (name == "rosenbrock") return rosenbrock;
  if (name == "styblinski") return styblinski;
  if (name == "steep") return steep;
  if (name == "beale") return beale;
  return levy;
}

BoxObjective batched(Function function) {
  return [function](const BoxBatch& batch) {
    const int64_t d = batch.x.size(1);
    const double* x = batch.x.const_data_ptr<double>();
    for (int64_t i = 0; i < batch.x.size(0); ++i)
      batch.values.data_ptr<double>()[i] =
          function(Row(x + i * d, x + (i + 1) * d), batch.gradients.data_ptr<double>() + i * d);
  };
}

at::Tensor start_of(int64_t number, int64_t d, double low, double high) {
  Row out;
  for (int64_t i = 1; i <= d; ++i)
    out.push_back(low +
                  (high - low) * (0.5 + 0.5 * std::sin((0.9 + 0.17 * static_cast<double>(number)) *
                                                       static_cast<double>(i))));
  return at::tensor(out, at::kDouble).unsqueeze(0);
}

Box box_of(double low, double high) {
  return {at::tensor({low}, at::kDouble), at::tensor({high}, at::kDouble)};
}

TEST(LbfgsBox, ValuesAreNoWorseThanSciPys) {
  const auto fixture =
      base::read_json(std::string(PREIMAGE_TEST_DATA) + "/optim/fixtures/lbfgs_box.json");
  int64_t ours = 0, theirs = 0;
  for (const auto& c : fixture) {
    const double low = c["low"], high = c["high"], value = c["value"];
    const auto found = minimise_in_box(batched(function_named(c["function"])),
                                       start_of(c["start"], c["d"], low, high), box_of(low, high));
    // Both stop where a step lowers the value by less than 2.2e-9 of it.
    EXPECT_LE(found.values[0].item<double>(), value + 3e-6 * std::max(1.0, std::abs(value))) << c;
    EXPECT_TRUE(found.x.ge(low).all().item<bool>() && found.x.le(high).all().item<bool>());
    EXPECT_EQ(found.active_bounds[0], c["active"].get<int64_t>()) << c;
    ours += found.evaluations[0];
    theirs += c["evaluations"].get<int64_t>();
  }
  EXPECT_LT(static_cast<double>(ours), 1.1 * static_cast<double>(theirs));
}

TEST(LbfgsBox, ProblemsTogetherAreThoseAlone) {
  std::vector<at::Tensor> starts;
  for (int64_t i = 0; i < 20; ++i) starts.push_back(start_of(i, 25, -3, 3));
  const auto objective = batched(rosenbrock);
  const auto together = minimise_in_box(objective, at::cat(starts), box_of(-3, 3));
  int64_t longest = 0;
  for (int64_t i = 0; i < 20; ++i) {
    const auto alone = minimise_in_box(objective, starts[i], box_of(-3, 3));
    EXPECT_TRUE(alone.x.equal(together.x.slice(0, i, i + 1))) << i;
    EXPECT_EQ(alone.evaluations[0], together.evaluations[i]);
    longest = std::max(longest, alone.evaluations[0]);
  }
  EXPECT_EQ(together.rounds, longest);
}

TEST(LbfgsBox, OneEvaluationForEachOpenProblemARound) {
  std::vector<int64_t> sizes;
  const auto inner = batched(rosenbrock);
  const BoxObjective counting = [&](const BoxBatch& batch) {
    sizes.push_back(static_cast<int64_t>(batch.problems.size()));
    inner(batch);
  };
  const auto found = minimise_in_box(
      counting, at::cat({start_of(0, 10, -1, 1), start_of(1, 10, -1, 1)}), box_of(-1, 1));
  EXPECT_EQ(static_cast<int64_t>(sizes.size()), found.rounds);
  EXPECT_EQ(std::accumulate(sizes.begin(), sizes.end(), int64_t{0}),
            found.evaluations[0] + found.evaluations[1]);
}

TEST(LbfgsBox, OpenSidesStartsOutsideAndStops) {
  const Box open{at::full({1}, -INFINITY, at::kDouble), at::full({1}, INFINITY, at::kDouble)};
  const auto free = minimise_in_box(batched(rosenbrock), start_of(0, 6, -2, 2), open);
  EXPECT_LT(free.values[0].item<double>(), 1e-8);
  EXPECT_EQ(free.active_bounds[0], 0);
  // A start outside is moved in; a solution in a corner is found at once.
  const auto corner =
      minimise_in_box(batched(steep), at::full({1, 8}, 9.0, at::kDouble), box_of(-.1, .1));
  EXPECT_EQ(corner.active_bounds[0], 8);
  EXPECT_EQ(corner.stops[0], BoxStop::projected_gradient);
  const auto few = minimise_in_box(batched(rosenbrock), start_of(0, 25, -3, 3), box_of(-3, 3),
                                   {.max_iterations = 3});
  EXPECT_EQ(few.iterations[0], 3);
  EXPECT_EQ(few.stops[0], BoxStop::max_iterations);
  EXPECT_THROW(minimise_in_box(batched(steep), at::zeros({1, 2}, at::kDouble), box_of(1, -1)),
               base::Error);
}

// -log(1 - x): infinite beyond 1, where the first step leads.
TEST(LbfgsBox, StepsBackFromValuesThatAreNotFinite) {
  const BoxObjective objective = [](const BoxBatch& batch) {
    const auto x = batch.x.select(1, 0);
    batch.values.copy_(-(1 - x).log() + 3 * (x - 0.9).square());
    batch.gradients.copy_((1 / (1 - x) + 6 * (x - 0.9)).unsqueeze(1));
  };
  const auto found =
      minimise_in_box(objective, at::full({1, 1}, -8.0, at::kDouble), box_of(-10, 10));
  // Where -6 x^2 + 11.4 x - 4.4 vanishes.
  const auto x = found.x[0][0].item<double>();
  EXPECT_NEAR(x, (11.4 - std::sqrt(24.36)) / 12, 1e-4);
}

// A gradient that points the wrong way: no step lowers the value.
TEST(LbfgsBox, GivesUpWhereNothingHelps) {
  const BoxObjective objective = [](const BoxBatch& batch) {
    batch.values.copy_(batch.x.square().sum(1));
    batch.gradients.copy_(-2 * batch.x);
  };
  const auto found = minimise_in_box(objective, at::full({1, 3}, 0.5, at::kDouble), box_of(-9, 9));
  EXPECT_LE(found.values[0].item<double>(), 0.75);
  EXPECT_LT(found.evaluations[0], 60);
}

}  // namespace
}  // namespace preimage::optim
