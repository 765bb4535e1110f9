// Against SciPy's sequence: tests/bo/fixtures/sobol.json, made by
// scripts/fixtures/make_bo_fixtures.py.
#include "preimage/bo/sobol.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"

namespace preimage::bo {
namespace {

TEST(Sobol, PlainPointsAreSciPys) {
  const auto fixture = base::read_json(std::string(PREIMAGE_TEST_DATA) + "/bo/fixtures/sobol.json");
  const auto points = sobol_points(fixture["count"], fixture["dimensions"]);
  for (const auto& row : fixture["rows"]) {
    const auto found = points[row["index"].get<int64_t>()];
    for (size_t k = 0; k < row["point"].size(); ++k)
      EXPECT_EQ(found[static_cast<int64_t>(k)].item<double>(), row["point"][k].get<double>())
          << row["index"] << " " << k;
  }
}

TEST(Sobol, ScrambledBlocksStayBalancedInEachDimension) {
  const base::RandomStream random(7, "unit", "sobol");
  const auto points = scrambled_sobol_points(1024, 64, random);
  EXPECT_TRUE(points.ge(0).all().item<bool>());
  EXPECT_TRUE(points.lt(1).all().item<bool>());
  for (int64_t k = 0; k < 64; ++k) {
    std::set<int64_t> cells;
    for (int64_t i = 0; i < 1024; ++i)
      cells.insert(static_cast<int64_t>(points[i][k].item<double>() * 1024));
    EXPECT_EQ(cells.size(), 1024u) << "dimension " << k;  // one point in each interval
  }
}

TEST(Sobol, ScramblesAreUniformOverStreamsAndKeyed) {
  double sum = 0, square = 0;
  const int streams = 200;
  for (int i = 0; i < streams; ++i) {
    const base::RandomStream random(static_cast<uint64_t>(i), "unit", "sobol");
    const double x = scrambled_sobol_points(4, 3, random)[3][2].item<double>();
    sum += x / streams;
    square += x * x / streams;
  }
  EXPECT_NEAR(sum, 0.5, 0.07);
  EXPECT_NEAR(square - sum * sum, 1.0 / 12, 0.02);
  const base::RandomStream random(7, "unit", "sobol");
  EXPECT_TRUE(scrambled_sobol_points(64, 8, random).equal(scrambled_sobol_points(64, 8, random)));
  // A longer draw begins with the shorter one, a wider one holds the narrower.
  EXPECT_TRUE(scrambled_sobol_points(64, 8, random)
                  .equal(scrambled_sobol_points(128, 9, random).slice(0, 0, 64).slice(1, 0, 8)));
}

TEST(Sobol, RefusesSizesThatItHasNot) {
  EXPECT_THROW(sobol_points(1, 0), base::Error);
  EXPECT_THROW(sobol_points(1, sobol_max_dimensions + 1), base::Error);
  EXPECT_EQ(sobol_points(0, 3).size(0), 0);
}

}  // namespace
}  // namespace preimage::bo
