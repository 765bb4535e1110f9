// Values of the reference.
#include "measure/projection.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "preimage/base/random.hpp"

namespace preimage::grpo {
namespace {

// V = e1, e2 of R^4.
Directions two_axes() {
  Directions out;
  ModuleDirections module{{"m", "q_proj", 0, 4}, 2};
  module.v = {1, 0, 0, 0, 0, 1, 0, 0};
  module.singular = {1, 1}, module.votes = {1, 1};
  module.mean = {2, 0, 0, 0};
  out.modules.push_back(module);
  return out;
}
const std::vector<float> kGradient = {3, -1, 2, 0};

std::vector<float> projected(const ProjectionOptions& options) {
  auto g = kGradient;
  project(g, two_axes(), options);
  return g;
}

void expect_near(const std::vector<float>& found, const std::vector<double>& expected) {
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-6) << i;
}

TEST(Projection, CosinesOfTheReference) {
  const auto found = align(kGradient, two_axes());
  EXPECT_NEAR(found.cos_in, .801783725737, 1e-11);
  EXPECT_NEAR(found.cos_in_global, .801783725737, 1e-11);
  EXPECT_NEAR(found.cos_sgn, 3 / std::sqrt(14.0), 1e-11);
  EXPECT_EQ(found.frac_fired, 1);
}

TEST(Projection, GatesOfTheReference) {
  expect_near(projected({}), {0, -1, 2, 0});
  expect_near(projected({.gate = Gate::no_gate}), {0, 0, 2, 0});
  expect_near(projected({.gate = Gate::reverse}), {-3, 1, 2, 0});
  expect_near(projected({.overshoot = 1.1}), {-.3, -1, 2, 0});
  expect_near(projected({.preserve_magnitude = true}), {0, -1.67332005307, 3.34664010614, 0});
}

TEST(Projection, WhatIsLeftAlongTheAxes) {
  auto g = kGradient;
  const auto one_sided = project(g, two_axes(), {});
  EXPECT_EQ(one_sided.after.cos_in, 0);
  EXPECT_FALSE(one_sided.over_projected);
  g = kGradient;
  EXPECT_NEAR(project(g, two_axes(), {.gate = Gate::reverse}).after.cos_in, .267261241912, 1e-11);
  g = kGradient;
  EXPECT_TRUE(project(g, two_axes(), {.overshoot = 1.1}).over_projected);
}

// |g'|^2 = |g|^2 - |relu(c)|^2, and what was removed lies in the span of V.
TEST(Projection, IsPythagorean) {
  const auto g = projected({});
  EXPECT_NEAR(std::pow(norm(std::span<const float>(g)), 2), 14 - 9, 1e-6);
}

// Signed sums come after relu: c = (3, -1) must not become relu(2).
TEST(Projection, ReluComesBeforeTheSum) {
  EXPECT_GT(align(kGradient, two_axes()).cos_in, .8);
}

TEST(Projection, ModulesWithoutGradientCountInNoMean) {
  auto two = two_axes();
  two.modules.push_back(two.modules[0]);
  two.modules[1].span.begin = 4;
  std::vector<float> g = kGradient;
  g.resize(8, 0);
  const auto found = align(g, two);
  EXPECT_NEAR(found.cos_in, .801783725737, 1e-11);
  EXPECT_EQ(found.frac_fired, .5);
  EXPECT_TRUE(std::isnan(align(std::vector<float>(8, 0.f), two).cos_in));
}

// Unweighted over modules against weighted by energy.
TEST(Projection, ConcatenatedMeasureWeighsByEnergy) {
  auto two = two_axes();
  two.modules.push_back(two.modules[0]);
  two.modules[1].span.begin = 4;
  const std::vector<float> g = {1, 0, 0, 0, 0, 0, 3, 0};
  const auto found = align(g, two);
  EXPECT_NEAR(found.cos_in, .5, 1e-12);
  EXPECT_NEAR(found.cos_in_global, std::sqrt(.1), 1e-12);
  EXPECT_NEAR(found.cos_sgn, .5, 1e-12);
  EXPECT_NEAR(found.cos_sgn_global, 2 / std::sqrt(10.0 * 8), 1e-12);
}

// V = (1, 1, 0) / sqrt 2, g = (.1, .5, 1), v = (.04, .0001, .01): the update leaks although the
// gradient was projected.
TEST(Leak, OfTheReference) {
  Directions axis;
  ModuleDirections module{{"m", "q_proj", 0, 3}, 1};
  const double h = 1 / std::sqrt(2.0);
  module.v = {h, h, 0}, module.mean = {1, 1, 0};
  axis.modules.push_back(module);
  std::vector<float> g = {.1f, .5f, 1};
  EXPECT_NEAR(coefficients(g, axis.modules[0])[0], .424264068712, 1e-7);
  project(g, axis, {});
  expect_near(g, {-.2, .2, 1});
  const std::vector<float> before(3, 0);
  const std::vector<float> after = {-g[0] / std::sqrt(.04f), -g[1] / std::sqrt(.0001f),
                                    -g[2] / std::sqrt(.01f)};  // (1, -20, -10)
  EXPECT_NEAR(leak({before, after}, axis).cos_in, .600233, 5e-7);
  EXPECT_NEAR(align(g, axis).cos_in, 0, 1e-7);
}

TEST(Leak, DecoupledDecayIsNoPartOfIt) {
  const std::vector<float> before = {1, 0, 0, 0}, decayed = {.9f, 0, 0, 0};
  EXPECT_LT(leak({before, decayed, .1}, two_axes()).norm, 1e-7);
  EXPECT_NEAR(leak({before, decayed}, two_axes()).cos_in, 1, 1e-6);
}

}  // namespace
}  // namespace preimage::grpo
