// Scores against the definitions of the official scripts
// (scripts/fixtures/make_metrics_fixtures.py).
#include "preimage/text/metrics.hpp"

#include <gtest/gtest.h>

#include "preimage/base/json.hpp"

namespace preimage::text {
namespace {

base::Json fixture() {
  return base::read_json(PREIMAGE_TEST_DATA "/text/fixtures/metrics.json");
}

TEST(Metrics, NormalizesLikeTheOfficialScripts) {
  for (const auto& one : fixture()["normalize"]) {
    const auto text = one["text"].get<std::string>();
    EXPECT_EQ(squad_normalize(text), one["squad"].get<std::string>()) << text;
    EXPECT_EQ(trivia_normalize(text), one["trivia"].get<std::string>()) << text;
  }
}

TEST(Metrics, ScoresAndGradesLikeTheDefinitions) {
  for (const auto& one : fixture()["score"]) {
    const auto prediction = one["prediction"].get<std::string>();
    const auto target = one["target"].get<std::string>();
    SCOPED_TRACE(prediction + " | " + target);
    EXPECT_EQ(exact_match(prediction, target), one["em"].get<bool>());
    EXPECT_DOUBLE_EQ(token_f1(prediction, target), one["f1"].get<double>());
    EXPECT_EQ(grade_name(grade_answer(prediction, target)), one["grade"].get<std::string>());
    EXPECT_EQ(grade_name(grade_answer(prediction, target, 0.95)),
              one["grade_cosine_0.95"].get<std::string>());
  }
}

TEST(Metrics, TakesTheBestReference) {
  EXPECT_EQ(best_exact_match("The Broncos", {"Denver", "broncos"}), 1);
  EXPECT_EQ(best_exact_match("x", {}), 0);
  EXPECT_DOUBLE_EQ(best_token_f1("denver broncos", {"nobody", "broncos"}), 2.0 / 3);
}

TEST(Metrics, FlagsRepetition) {
  EXPECT_TRUE(repeats({1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}));
  EXPECT_FALSE(repeats({1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3}));
  EXPECT_TRUE(repeats({7, 7, 7, 7, 7, 7}));  // three overlapping runs of four
  EXPECT_FALSE(repeats({7, 7, 7, 7, 7}));
  EXPECT_FALSE(repeats({}));
  EXPECT_TRUE(repeats_words("so it is and so it is and  so it is\nand", 4, 3));
  EXPECT_FALSE(repeats_words("so it is and so it is and", 4, 3));
}

TEST(Metrics, SurvivesBytesThatAreNotText) {
  EXPECT_EQ(squad_normalize("A \xFF thing"), "\xEF\xBF\xBD thing");
  EXPECT_EQ(grade_answer("\xC3", "\xC3"), Grade::pass);
}

}  // namespace
}  // namespace preimage::text
