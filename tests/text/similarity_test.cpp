// LCS and Levenshtein against the recurrences that define them, against rapidfuzz
// (scripts/fixtures/make_similarity_fixtures.py), and on values worked out by hand.
#include "preimage/text/similarity.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/base/random.hpp"

namespace preimage::text {
namespace {

using Ids = std::vector<int32_t>;

int64_t plain_lcs(const Ids& a, const Ids& b) {
  std::vector<int64_t> row(b.size() + 1, 0);
  for (const auto x : a) {
    int64_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t above = row[j];
      row[j] = x == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

int64_t plain_distance(const Ids& a, const Ids& b) {
  std::vector<int64_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int64_t>(j);
  for (const auto x : a) {
    int64_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (x != b[j - 1])});
      diagonal = above;
    }
  }
  return row.back();
}

// As in the script that makes the fixture.
class Draws {
 public:
  explicit Draws(uint64_t seed) : state_(seed) {}
  int32_t below(int64_t bound) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int32_t>((state_ >> 33) % static_cast<uint64_t>(bound));
  }

 private:
  uint64_t state_;
};

std::pair<Ids, Ids> sequences(const base::Json& one) {
  Draws draws(one["seed"].get<uint64_t>());
  const auto other = one["other"].get<int64_t>(), alphabet = one["alphabet"].get<int64_t>();
  Ids a, b;
  for (int64_t i = 0; i < one["length"].get<int64_t>(); ++i) a.push_back(draws.below(alphabet));
  for (int64_t i = 0; i < other; ++i) b.push_back(draws.below(alphabet));
  if (other >= 0) return {a, b};
  for (const auto x : a) {
    const auto kind = draws.below(30);
    if (kind == 0) continue;
    b.push_back(kind == 1 ? draws.below(alphabet) : x);
    if (kind == 2) b.push_back(x);
  }
  return {a, b};
}

base::Json fixture() {
  return base::read_json(PREIMAGE_TEST_DATA "/text/fixtures/similarity.json");
}

TEST(Similarity, OfLongSequencesIsThatOfRapidfuzz) {
  const auto pairs = fixture()["pairs"];
  EXPECT_GT(pairs.size(), 40u);
  for (const auto& one : pairs) {
    SCOPED_TRACE(one.dump());
    const auto [a, b] = sequences(one);
    const std::vector<int64_t> wide_a(a.begin(), a.end()), wide_b(b.begin(), b.end());
    const auto lcs = one["lcs"].get<int64_t>(), distance = one["distance"].get<int64_t>();
    EXPECT_EQ(lcs_length(a, b), lcs);
    EXPECT_EQ(lcs_length(wide_b, wide_a), lcs);
    EXPECT_EQ(levenshtein(a, b), distance);
    EXPECT_EQ(levenshtein(wide_b, wide_a), distance);
    const SequenceMatcher matcher(a), wide(wide_b);
    EXPECT_EQ(matcher.lcs_length(b), lcs);
    EXPECT_EQ(matcher.levenshtein(b), distance);
    EXPECT_EQ(wide.lcs_length(wide_a), lcs);
    EXPECT_EQ(wide.levenshtein(wide_a), distance);
    EXPECT_EQ(lcs_similarity(a, b),
              static_cast<double>(lcs) / static_cast<double>(std::max(a.size(), b.size())));
  }
}

TEST(Similarity, OfCodePointsIsThatOfRapidfuzz) {
  for (const auto& one : fixture()["texts"]) {
    SCOPED_TRACE(one.dump());
    const auto a = one["a"].get<std::string>(), b = one["b"].get<std::string>();
    EXPECT_EQ(lcs_length(a, b), one["lcs"].get<int64_t>());
    EXPECT_EQ(levenshtein(a, b), one["distance"].get<int64_t>());
    EXPECT_NEAR(edit_similarity(a, b), one["edit_similarity"].get<double>(), 1e-15);
    const SequenceMatcher matcher{std::string_view(a)};
    EXPECT_EQ(matcher.lcs_length(std::string_view(b)), one["lcs"].get<int64_t>());
    EXPECT_EQ(matcher.levenshtein(std::string_view(b)), one["distance"].get<int64_t>());
  }
}

// Every width up to three stripes, and alphabets from one symbol to all different.
TEST(Similarity, IsTheRecurrence) {
  const base::RandomStream random(5, "similarity", "test");
  uint64_t draw = 0;
  for (int round = 0; round < 400; ++round) {
    const auto alphabet = 1 + random.below(round % 2 == 0 ? 4 : 3000, draw++);
    const auto some = [&](uint64_t most) {
      Ids ids(random.below(most, draw++));
      for (auto& id : ids) id = static_cast<int32_t>(random.below(alphabet, draw++)) - 2;
      return ids;
    };
    const auto a = some(round % 10 == 0 ? 1300 : 140), b = some(round % 7 == 0 ? 900 : 140);
    ASSERT_EQ(lcs_length(a, b), plain_lcs(a, b)) << round;
    ASSERT_EQ(levenshtein(a, b), plain_distance(a, b)) << round;
    const SequenceMatcher matcher(a);
    ASSERT_EQ(matcher.lcs_length(b), plain_lcs(a, b)) << round;
    ASSERT_EQ(matcher.levenshtein(b), plain_distance(a, b)) << round;
  }
}

TEST(Similarity, ValuesByHand) {
  EXPECT_EQ(lcs_length("ABCBDAB", "BDCABA"), 4);
  EXPECT_EQ(levenshtein("kitten", "sitting"), 3);
  EXPECT_NEAR(edit_similarity("kitten", "sitting"), 0.571428571429, 5e-13);
  EXPECT_EQ(levenshtein("", "abc"), 3);
  EXPECT_EQ(edit_similarity("", ""), 1);
  EXPECT_EQ(lcs_similarity(Ids{}, Ids{}), 1);
  // def f ( x ) : return x | def f ( y ) : return y + 1
  const Ids a = {1, 2, 3, 4, 5, 6, 7, 4}, b = {1, 2, 3, 9, 5, 6, 7, 9, 10, 11};
  EXPECT_EQ(lcs_length(a, b), 6);
  EXPECT_DOUBLE_EQ(lcs_similarity(a, b), 0.6);
  EXPECT_EQ(levenshtein(a, b), 4);
  EXPECT_EQ(levenshtein("a\xFF", "a\xEF\xBF\xBD"), 0);  // what is not UTF-8 counts as U+FFFD
}

}  // namespace
}  // namespace preimage::text
