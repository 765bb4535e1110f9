// Philox4x32-10: kat_vectors of Random123.
#include "preimage/base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "preimage/base/error.hpp"

namespace preimage::base {
namespace {

TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t f = 0xffffffff;
  EXPECT_EQ(philox4x32({f, f, f, f}, {f, f}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, IsAPureFunctionOfItsNames) {
  const RandomStream a(1, "unit", "init"), same(1, "unit", "init");
  for (uint64_t i : {0ull, 1ull, 5ull, 1ull << 40}) EXPECT_EQ(a.bits(i), same.bits(i));
  for (const auto& other : {RandomStream(2, "unit", "init"), RandomStream(1, "unitinit", ""),
                            RandomStream(1, "uni", "tinit"), RandomStream(1, "unit", "shuffle")}) {
    EXPECT_NE(a.bits(0), other.bits(0));
  }
  EXPECT_EQ(a.bits(6), philox4x32({1, 0, a.upper_counter()[0], a.upper_counter()[1]}, a.key())[2]);
}

TEST(RandomStream, MomentsAndBounds) {
  const RandomStream stream(7, "unit", "test");
  constexpr int kCount = 200000;
  double sum = 0, square = 0, fourth = 0, uniform = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = stream.normal(static_cast<uint64_t>(i));
    sum += x, square += x * x, fourth += x * x * x * x;
    const double u = stream.uniform(static_cast<uint64_t>(i));
    ASSERT_TRUE(u >= 0 && u < 1);
    uniform += u;
  }
  // Five standard errors: sqrt(1/n), sqrt(2/n), sqrt(96/n), sqrt(1/12n).
  EXPECT_NEAR(sum / kCount, 0, 5 * std::sqrt(1.0 / kCount));
  EXPECT_NEAR(square / kCount, 1, 5 * std::sqrt(2.0 / kCount));
  EXPECT_NEAR(fourth / kCount, 3, 5 * std::sqrt(96.0 / kCount));
  EXPECT_NEAR(uniform / kCount, 0.5, 5 * std::sqrt(1.0 / 12 / kCount));
  std::vector<int> seen(6);
  for (uint64_t i = 0; i < 60000; ++i) ++seen.at(stream.below(6, i));
  for (const int count : seen) EXPECT_NEAR(count, 10000, 500);
  EXPECT_EQ(stream.below(1, 3), 0u);
  EXPECT_THROW(stream.below(0, 3), Error);
}

TEST(RandomStream, PermutationsArePermutationsAndUniform) {
  std::map<std::vector<int64_t>, int> seen;
  for (uint64_t seed = 0; seed < 6000; ++seed) {
    auto order = RandomStream(seed, "u", "p").permutation(3);
    ++seen[order];
    std::sort(order.begin(), order.end());
    ASSERT_EQ(order, (std::vector<int64_t>{0, 1, 2}));
  }
  ASSERT_EQ(seen.size(), 6u);
  for (const auto& [order, count] : seen) EXPECT_NEAR(count, 1000, 150);
  EXPECT_TRUE(RandomStream(1, "u", "p").permutation(0).empty());
}

}  // namespace
}  // namespace preimage::base
