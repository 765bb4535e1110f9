// Values of the reference; NumPy's svd (fixtures/measure.json,
// scripts/fixtures/make_grpo_fixtures.py).
#include "measure/directions.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "measure/nulls.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"

namespace preimage::grpo {
namespace {

const std::string kFixture = PREIMAGE_TEST_DATA "/experiments/grpo/fixtures/measure.json";

Rows rows_of(const std::vector<std::vector<float>>& values) {
  Rows out(std::ssize(values), std::ssize(values[0]));
  for (size_t i = 0; i < values.size(); ++i)
    std::ranges::copy(values[i], out.row(static_cast<int64_t>(i)).begin());
  return out;
}

// The reference's D: S 3.1212, .3158, .2202; three pairs of four vote for v_1.
Rows reference_pairs() {
  return rows_of({{2, 0, .1f}, {1.5f, .2f, 0}, {1.8f, -.1f, 0}, {-.5f, 0, .3f}});
}
const std::vector<ModuleSpan> kOneModule = {{"m", "q_proj", 0, 3}};

TEST(Directions, OfTheReference) {
  const auto found =
      extract_directions(reference_pairs(), kOneModule, {.k = 3, .noise_quantile = 0});
  ASSERT_EQ(found.modules.size(), 1u);
  const auto& module = found.modules[0];
  ASSERT_EQ(module.k, 3);
  EXPECT_NEAR(module.singular[0], 3.1212, 5e-5);
  EXPECT_NEAR(module.singular[1], .3158, 5e-5);
  EXPECT_NEAR(module.singular[2], .2202, 5e-5);
  EXPECT_NEAR(module.row(0)[0], .9999, 5e-5);
  EXPECT_NEAR(module.row(0)[1], .0124, 5e-5);
  EXPECT_NEAR(module.row(0)[2], .0052, 5e-5);
  EXPECT_EQ(module.votes, (std::vector<double>{.75, .5, .5}));
  EXPECT_NEAR(module.mean[0], 1.2, 1e-6);
}

TEST(Directions, TheNoiseFloorIsPooledOverModules) {
  // Four modules of one axis each, and one without a gradient.
  Rows d(2, 5);
  const float sizes[] = {5, 1, 3, 2, 0};
  for (int64_t m = 0; m < 5; ++m) d.row(0)[static_cast<size_t>(m)] = sizes[m];
  std::vector<ModuleSpan> spans;
  for (int64_t m = 0; m < 5; ++m) spans.push_back({"m" + std::to_string(m), "q_proj", m, 1});
  const auto found = extract_directions(d, spans, {.k = 1, .noise_quantile = .25});
  EXPECT_DOUBLE_EQ(found.noise_floor, 1.75);  // of (1, 2, 3, 5)
  EXPECT_EQ(found.modules_seen, 4);
  ASSERT_EQ(found.modules.size(), 3u);
  EXPECT_EQ(found.modules[1].span.module, "m2");
}

TEST(Directions, QuantileOfTheReference) {
  Rows d(1, 8);
  const float sizes[] = {5, 1, 3, 2, 4, .5f, .2f, 6};
  std::vector<ModuleSpan> spans;
  for (int64_t m = 0; m < 8; ++m) {
    d.row(0)[static_cast<size_t>(m)] = sizes[m];
    spans.push_back({"m" + std::to_string(m), "q_proj", m, 1});
  }
  EXPECT_NEAR(extract_directions(d, spans, {.k = 1, .noise_quantile = .25}).noise_floor, .875,
              1e-6);
}

TEST(Directions, PairsWithoutAnyDifferenceAreRefused) {
  EXPECT_THROW(extract_directions(Rows(3, 3), kOneModule, {}), base::Error);
}

// numpy.linalg.svd of a 6 x 40 matrix in float64.
TEST(Directions, AreNumPysSingularVectors) {
  const auto fixture = base::read_json(kFixture).at("svd");
  const auto d = rows_of(fixture.at("d").get<std::vector<std::vector<float>>>());
  const auto svd = thin_svd(d, {"m", "q_proj", 0, d.size()});
  const auto singular = fixture.at("singular").get<std::vector<double>>();
  const auto v = fixture.at("v").get<std::vector<std::vector<double>>>();
  ASSERT_EQ(svd.singular.size(), singular.size());
  for (size_t i = 0; i < singular.size(); ++i) {
    EXPECT_NEAR(svd.singular[i], singular[i], 1e-10);
    const auto row = std::span<const double>(svd.v).subspan(i * 40, 40);
    EXPECT_NEAR(std::abs(dot(row, std::span<const double>(v[i]))), 1, 1e-10) << i;
    for (size_t j = 0; j < i; ++j)
      EXPECT_NEAR(dot(row, std::span<const double>(svd.v).subspan(j * 40, 40)), 0, 1e-12);
  }
}

// Two equal pairs: rank one, no axis of noise.
TEST(Directions, RankIsThatOfThePairs) {
  EXPECT_EQ(thin_svd(rows_of({{1, 2, 2}, {1, 2, 2}}), kOneModule[0]).singular.size(), 1u);
}

TEST(Directions, HeldOutPairsOfTheSameContrastAlign) {
  const auto found = extract_directions(reference_pairs(), kOneModule, {.k = 1});
  EXPECT_NEAR(held_out_alignment(found, rows_of({{3, 0, 0}, {1, 0, 0}})), .9999, 5e-5);
  EXPECT_NEAR(held_out_alignment(found, rows_of({{-3, 0, 0}})), -.9999, 5e-5);
}

}  // namespace
}  // namespace preimage::grpo
