// BLEU where nltk and sacrebleu agree (scripts/fixtures/make_similarity_fixtures.py), and the
// reference's values of self-BLEU.
#include "preimage/text/bleu.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "preimage/base/json.hpp"
#include "preimage/text/metrics.hpp"

namespace preimage::text {
namespace {

TEST(Bleu, IsThatOfNltkAndSacrebleu) {
  const auto cases = base::read_json(PREIMAGE_TEST_DATA "/text/fixtures/similarity.json")["bleu"];
  EXPECT_GT(cases.size(), 50u);
  for (const auto& one : cases) {
    std::vector<Words> references;
    for (const auto& reference : one["references"])
      references.push_back(white_space_words(reference.get<std::string>()));
    const auto found = bleu(white_space_words(one["hypothesis"].get<std::string>()), references,
                            {.order = one["order"].get<int64_t>()});
    EXPECT_NEAR(found, one["bleu"].get<double>(), 1e-12) << one.dump();
  }
}

TEST(Bleu, SelfBleuOfTheReference) {
  const std::vector<Words> texts = {
      white_space_words("write a python function that sums a list"),
      white_space_words("write a python function that adds all numbers"),
      white_space_words("sum the elements of a list in python")};
  const auto mean = [](const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  };
  const auto two = self_bleu(texts, {.order = 2});
  EXPECT_NEAR(two[0], 0.731925054711, 5e-13);
  EXPECT_NEAR(two[1], 0.597614304667, 5e-13);
  EXPECT_NEAR(two[2], 0.231455024943, 5e-13);
  EXPECT_NEAR(mean(two), 0.520331461441, 5e-13);
  const auto four = self_bleu(texts);
  EXPECT_NEAR(four[0], 0.572124842455, 5e-13);
  EXPECT_NEAR(four[1], 0.516973153957, 5e-13);
  EXPECT_NEAR(four[2], 0.065005932603, 5e-13);
  EXPECT_NEAR(mean(four), 0.384701309672, 5e-13);
}

TEST(Bleu, TooShortForItsNgramsIsNothing) {
  const Words one = {"a"}, two = {"a", "b"};
  EXPECT_EQ(bleu(one, std::vector<Words>{two}, {.order = 2}), 0);
  EXPECT_DOUBLE_EQ(bleu(two, std::vector<Words>{two}, {.order = 2}), 1);
}

}  // namespace
}  // namespace preimage::text
