// Readers against examples worked out apart (scripts/fixtures/make_data_fixtures.py), and every way
// to refuse.
#include "preimage/data/dataset.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "folder.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"

namespace preimage::data {
namespace {

namespace fs = std::filesystem;
using base::Json;
using testing::AllOf;
using testing::HasSubstr;

const std::string kFixtures = PREIMAGE_TEST_DATA "/data/fixtures/";

Json as_json(const QaExample& one) {
  Json out = {{"id", one.id}, {"question", one.question}, {"answer", one.answer}};
  if (!one.group.empty()) out["group"] = one.group;
  if (!one.context.empty()) out["context"] = one.context;
  if (!one.aliases.empty()) out["aliases"] = one.aliases;
  if (!one.paraphrases.empty()) out["paraphrases"] = one.paraphrases;
  return out;
}

TEST(Dataset, ReadsThePublishedFormats) {
  const Json expected = base::read_json(kFixtures + "expected.json");
  for (const auto& [name, rows] : expected.items()) {
    SCOPED_TRACE(name);
    const auto colon = name.find(':');
    const auto data =
        read_dataset({.kind = name.substr(0, colon), .path = kFixtures + name.substr(colon + 1)});
    Json found = Json::array();
    for (const auto& one : data.examples) found.push_back(as_json(one));
    EXPECT_EQ(found, rows);
  }
}

TEST(Dataset, CountsRecordsWithoutAnswer) {
  EXPECT_EQ(read_dataset({.kind = "squad", .path = kFixtures + "squad.json"}).without_answer, 1);
  EXPECT_EQ(
      read_dataset({.kind = "natural_questions", .path = kFixtures + "natural_questions.jsonl"})
          .without_answer,
      1);
}

TEST(Dataset, ReadsTheShippedSamples) {
  const fs::path folder = PREIMAGE_SOURCE_DIR "/jobs/data";
  const auto count = [&](const char* kind, const char* file) {
    return read_dataset({.kind = kind, .path = folder / file}).examples.size();
  };
  EXPECT_EQ(count("squad", "squad_sample.json"), 209u);
  EXPECT_EQ(count("arithmetic", "arithmetic.jsonl"), 100u);
  EXPECT_EQ(count("sudoku", "sudoku.csv"), 20u);
  EXPECT_EQ(count("arc", "arc"), 3u);
}

TEST(Arithmetic, GeneratesTheSameForASeed) {
  const auto first = read_dataset({.kind = "arithmetic", .generate_count = 300}).examples;
  const auto again = read_dataset({.kind = "arithmetic", .generate_count = 300}).examples;
  const auto other =
      read_dataset({.kind = "arithmetic", .generate_count = 300, .generate_seed = 1}).examples;
  ASSERT_EQ(first.size(), 300u);
  std::set<std::string> operators;
  bool differs = false;
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].question, again[i].question);
    differs |= first[i].question != other[i].question;
    operators.insert(first[i].group);
  }
  EXPECT_TRUE(differs);
  EXPECT_EQ(operators, (std::set<std::string>{"+", "-", "*"}));
}

// Writes `text` as a data file, reads it, and returns the message of the refusal.
class Refusals : public testing::Test {
 protected:
  void write(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }

  std::string refusal(const std::string& kind, const std::string& text) const {
    write(text);
    try {
      read_dataset({.kind = kind, .path = path_});
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ExitCode::bad_data);
      return error.what();
    }
    return "accepted";
  }
  const tests::Folder folder_;
  const fs::path path_ = folder_ / "data";
};

TEST_F(Refusals, NameFileLineAndWhatWasFound) {
  const std::string good = R"({"id":"a","question":"q","answer":"x"})"
                           "\n";
  EXPECT_THAT(refusal("pairs", good + "{\"id\":\n"), HasSubstr(path_.string() + ":2:"));
  EXPECT_THAT(refusal("pairs", good + good),
              AllOf(HasSubstr(":2: id \"a\""), HasSubstr(":1; ids")));
  EXPECT_THAT(refusal("pairs", good + R"({"id":"b","question":"q"})"),
              HasSubstr(":2: key \"answer\" is missing"));
  EXPECT_THAT(refusal("pairs", R"({"id":"b","question":"q","answer":7})"),
              HasSubstr(":1: answer: found the number 7, expected a string"));
  EXPECT_THAT(refusal("pairs", R"({"id":"b","question":"q","answer":""})"),
              HasSubstr("empty answer"));
  EXPECT_THAT(refusal("pairs", R"({"id":"b","question":"q","answer":"a","contxt":"c"})"),
              HasSubstr("did you mean \"context\"?"));
  EXPECT_THAT(refusal("pairs", good + "\n" + R"({"id":"b","question":"q","answer":"a"})"),
              HasSubstr(":2: blank line in the middle"));
  EXPECT_THAT(refusal("pairs", ""), HasSubstr("holds no usable example"));
  EXPECT_THAT(refusal("pairs", "{\"id\":\"\xFF\"}"), HasSubstr("invalid UTF-8"));
  EXPECT_THAT(refusal("arithmetic", R"({"question":"1 + 1","answer":"3"})"),
              HasSubstr(":1: answer: found the string \"3\", expected \"2\""));
  EXPECT_THAT(refusal("arithmetic", R"({"question":"1+1","answer":"2"})"), HasSubstr("a op b"));
  EXPECT_THAT(refusal("squad", "{"), HasSubstr(":1:"));
  EXPECT_THAT(
      refusal("squad", R"({"data":[{"title":"t","paragraphs":[{"context":"äb","qas":[
      {"id":"i","question":"q","answers":[{"text":"b","answer_start":2}]}]}]}]})"),
      AllOf(HasSubstr("data[0].paragraphs[0].qas[0].answers[0]"), HasSubstr("code point 2")));
  EXPECT_THAT(refusal("triviaqa", R"({"Data":[{"Question":"q","QuestionId":"1"}]})"),
              HasSubstr("use train or dev"));
  EXPECT_THAT(refusal("natural_questions",
                      R"({"example_id":1,"question_text":"q","document_text":"a b","annotations":
  [{"long_answer":{"start_token":-1,"end_token":-1},"short_answers":[{"start_token":1,"end_token":9}]}]})"),
              HasSubstr(":1:"));
}

TEST_F(Refusals, Sudoku) {
  std::string grid;
  for (int r = 0; r < 9; ++r) {
    for (int c = 0; c < 9; ++c) grid += static_cast<char>('1' + (3 * (r % 3) + r / 3 + c) % 9);
  }
  const std::string head = "puzzle,solution\n";
  std::string swapped = grid;
  std::swap(swapped[0], swapped[9]);
  const std::string blank(81, '.');
  EXPECT_EQ(refusal("sudoku", head + blank + "," + grid), "accepted");
  EXPECT_THAT(refusal("sudoku", "a,b\n"), HasSubstr("names no puzzle and solution"));
  EXPECT_THAT(refusal("sudoku", head + blank.substr(1) + "," + grid),
              HasSubstr(":2: puzzle has 80"));
  EXPECT_THAT(refusal("sudoku", head + blank + "," + swapped), HasSubstr("solution repeats"));
  EXPECT_THAT(refusal("sudoku", head + "9" + blank.substr(1) + "," + grid),
              HasSubstr("clue 9 at row 1, column 1 is 1"));
  EXPECT_THAT(refusal("sudoku", head + blank + "," + grid + ",5"), HasSubstr("3 columns"));
}

TEST_F(Refusals, Arc) {
  fs::create_directories(path_);
  const auto refused = [&](const std::string& text) -> std::string {
    std::ofstream(path_ / "t.json") << text;
    try {
      read_dataset({.kind = "arc", .path = path_});
    } catch (const base::Error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refused(R"({"train":[],"test":[{"input":[[1,2],[3]],"output":[[1]]}]})"),
              HasSubstr("t.json: test[0].input[1]: row of 1 cells in a grid of 2"));
  EXPECT_THAT(refused(R"({"train":[],"test":[{"input":[[10]],"output":[[1]]}]})"),
              HasSubstr("found 10, allowed are 0 to 9"));
  EXPECT_THAT(refused(R"({"train":[],"test":[{"input":[],"output":[[1]]}]})"),
              HasSubstr("grid of 0 x 0"));
  EXPECT_THAT(refused(R"({"train":[],"test":[]})"), HasSubstr("no usable example"));
}

TEST_F(Refusals, AreCountedWhenSkipped) {
  write(
      "{\"id\":\"a\",\"question\":\"q\",\"answer\":\"x\"}\nnonsense\n{\"id\":\"a\",\"question\":"
      "\"q\","
      "\"answer\":\"y\"}\n{\"id\":\"b\",\"question\":\"q\",\"answer\":\"z\"}\n");
  const auto data = read_dataset({.kind = "pairs", .path = path_, .on_bad_line = BadLine::skip});
  EXPECT_EQ(data.bad_lines, 2);
  ASSERT_EQ(data.examples.size(), 2u);
  EXPECT_EQ(data.examples[1].answer, "z");
}

TEST(Dataset, RefusesAnUnknownKindAndAMissingFile) {
  try {
    read_dataset({.kind = "squid"});
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_config);
    EXPECT_THAT(error.what(), HasSubstr("supported: arc, arithmetic"));
  }
  EXPECT_THROW(read_dataset({.kind = "squad", .path = "/nowhere/x.json"}), base::Error);
  EXPECT_THROW(read_dataset({.kind = "arc", .path = "/dev/null"}), base::Error);
}

std::vector<QaExample> many() {
  std::vector<QaExample> out;
  for (int i = 0; i < 60; ++i) {
    out.push_back({.id = "id" + std::to_string(i),
                   .group = "g" + std::to_string(i % 7),
                   .question = std::string(static_cast<size_t>(i) + 1, 'q'),
                   .answer = "a"});
  }
  return out;
}

std::vector<std::string> ids_of(const std::vector<QaExample>& examples) {
  std::vector<std::string> out;
  for (const auto& one : examples) out.push_back(one.id);
  return out;
}

TEST(Select, DependsOnSeedAndIdsOnly) {
  auto examples = many();
  const auto chosen = ids_of(select(examples, {.count = 10, .seed = 3}));
  std::reverse(examples.begin(), examples.end());
  EXPECT_EQ(ids_of(select(examples, {.count = 10, .seed = 3})), chosen);
  EXPECT_NE(ids_of(select(examples, {.count = 10, .seed = 4})), chosen);
  // Without the other 50 the chosen ones keep their order.
  std::erase_if(examples, [&](const auto& one) {
    return std::find(chosen.begin(), chosen.end(), one.id) == chosen.end();
  });
  EXPECT_EQ(ids_of(select(examples, {.seed = 3})), chosen);
}

TEST(Select, TakesOnePerGroupBeforeASecond) {
  const auto chosen = select(many(), {.count = 9, .one_per_group = true});
  std::set<std::string> groups;
  for (size_t i = 0; i < 7; ++i) groups.insert(chosen[i].group);
  EXPECT_EQ(groups.size(), 7u);
  EXPECT_EQ(chosen.size(), 9u);
}

TEST(Select, KeepsTheLimitsAndSaysWhenTooFewAreLeft) {
  EXPECT_EQ(select(many(), {.max_question_bytes = 12}).size(), 12u);
  try {
    select(many(), {.count = 20, .max_question_bytes = 12});
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("20 examples are asked for, 12 of 60"));
  }
}

}  // namespace
}  // namespace preimage::data
