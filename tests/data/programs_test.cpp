// Readers of problem sets against records in the published formats
// (scripts/fixtures/make_program_fixtures.py) and the shipped samples, and every way to refuse.
#include "preimage/data/programs.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "folder.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"

namespace preimage::data {
namespace {

namespace fs = std::filesystem;
using base::Json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

const std::string kFixtures = PREIMAGE_TEST_DATA "/data/fixtures/programs/";
const fs::path kJobs = PREIMAGE_SOURCE_DIR "/jobs";

Json as_json(const ProgramProblem& one) {
  return {{"id", one.id},
          {"split", one.split},
          {"group", one.group},
          {"text", one.text},
          {"starter", one.starter},
          {"entry_point", one.entry_point},
          {"setup_before", one.setup_before},
          {"setup_after", one.setup_after},
          {"tests", one.tests},
          {"hidden_tests", one.hidden_tests},
          {"check_code", one.check_code},
          {"reference", one.reference}};
}

TEST(Programs, ReadsThePublishedFormats) {
  const Json expected = base::read_json(kFixtures + "expected.json");
  EXPECT_EQ(expected.size(), program_kinds().size());
  for (const auto& [name, rows] : expected.items()) {
    SCOPED_TRACE(name);
    const auto colon = name.find(':');
    Json found = Json::array();
    for (const auto& one :
         read_programs({name.substr(0, colon), kFixtures + name.substr(colon + 1), "train"})) {
      found.push_back(as_json(one));
      EXPECT_EQ(one.form == TestForm::check_function, name.starts_with("humaneval"));
    }
    EXPECT_EQ(found, rows);
  }
}

TEST(Programs, ReadsTheShippedSamples) {
  const auto mbpp = read_programs({"mbpp", kJobs / "data/mbpp_sample.jsonl"});
  EXPECT_THAT(count_splits(mbpp), ElementsAre(Pair("test", 20)));
  const auto functions = read_programs({"mbpp", kJobs / "data/functions/problems.jsonl.gz"});
  EXPECT_THAT(count_splits(functions),
              ElementsAre(Pair("test", 300), Pair("train", 374), Pair("validation", 90)));
  // "that is lowercase vowels", "that is not lowercase vowels": the verifier leaves the second out.
  const auto leaks = find_leaks(functions);
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_EQ(functions[leaks[0].first].split, "test");
  EXPECT_EQ(functions[leaks[0].second].split, "train");
  for (const auto& problem : functions) {
    EXPECT_EQ(problem.tests.size(), 3u) << problem.place;
    EXPECT_GE(problem.hidden_tests.size(), 3u) << problem.place;
  }
}

// What pocket-coder was trained on, and what it was not.
TEST(Programs, KindsHeldOutAreNotInTheTrainingListOfPocketCoder) {
  const Json kinds = base::read_json(kJobs / "data/functions/kinds.json");
  std::set<std::string> all;
  size_t count = 0;
  for (const auto& [role, list] : kinds.items()) {
    count += list.size();
    for (const auto& kind : list) all.insert(kind.get<std::string>());
  }
  EXPECT_EQ(all.size(), count) << "a kind has two roles";
  EXPECT_GE(kinds["coder"].size(), 60u);
  EXPECT_GE(kinds["test"].size(), 12u);
  const std::set<std::string> trained(kinds["coder"].begin(), kinds["coder"].end());
  for (const auto& one : read_programs({"mbpp", kJobs / "data/functions/problems.jsonl.gz"})) {
    EXPECT_EQ(trained.count(one.group), 0u) << one.place << ": " << one.group;
    const std::set<std::string> own(kinds[one.split].begin(), kinds[one.split].end());
    EXPECT_EQ(own.count(one.group), 1u) << one.place << ": " << one.group;
  }
  // The text that it had before: pocket-lm's corpus, without MBPP 1-600.
  const Json corpus = base::read_json(kJobs / "models/pocket-lm/corpus.json");
  EXPECT_EQ(corpus["held_out"]["mbpp_task_ids"], "1-600");
  const Json job = base::read_json(kJobs / "finetune/pocket-coder.json");
  EXPECT_EQ(job["finetune"]["model"], "jobs/models/pocket-lm");
  EXPECT_EQ(job["finetune"]["text"], "corpus/functions/train.jsonl");
}

TEST(Programs, SplitsOfMbppAreThePublishedRanges) {
  std::map<std::string, int> counts;
  for (int64_t id = 1; id <= 974; ++id) ++counts[mbpp_split(id)];
  EXPECT_THAT(counts, ElementsAre(Pair("prompt", 10), Pair("test", 500), Pair("train", 374),
                                  Pair("validation", 90)));
  EXPECT_EQ(mbpp_split(0), "");
  EXPECT_EQ(mbpp_split(975), "");
}

TEST(Programs, EntryPointIsTheFunctionThatTheProgramDefines) {
  const std::string program =
      "class Pair:\n  def __init__(self): pass\ndef g(x):\n  def inner(): "
      "pass\n  return x\nasync def later(): pass\n";
  EXPECT_EQ(entry_point_of("assert set(g(Pair())) == set(h(1))", program), "g");
  EXPECT_EQ(entry_point_of("assert (g (3)) == 3", program), "g");
  EXPECT_EQ(entry_point_of("assert later()", program), "later");
  EXPECT_EQ(entry_point_of("assert inner() == g", program), "");
  EXPECT_EQ(entry_point_of("assert gg(1)", program), "");
  EXPECT_EQ(entry_point_of("", program), "");
}

TEST(Programs, PromptsAreFilledOnce) {
  ProgramProblem problem;
  problem.text = "Add {tests}.";
  problem.tests = {"assert f(1)", "assert f(2)"};
  problem.entry_point = "f";
  EXPECT_EQ(fill_prompt("{text}\n\n{tests}\n\n", problem),
            "Add {tests}.\n\nassert f(1)\nassert f(2)\n\n");
  EXPECT_EQ(fill_prompt("{tests}|{entry_point}|{other} {", problem, 1), "assert f(1)|f|{other} {");
  EXPECT_EQ(fill_prompt("{tests}", problem, 0), "");
}

ProgramProblem worded(const std::string& split, const std::string& text) {
  ProgramProblem out;
  out.split = split;
  out.text = text;
  return out;
}

TEST(Programs, LeaksAreNearlyEqualTextsOfDifferentSplits) {
  // Texts of MBPP: 216 and 872 are the same; 233 and 731 differ in the last word, 9 of 11 trigrams.
  const std::vector<ProgramProblem> problems = {
      worded("test",
             "Write a function to check if a nested list is a subset of another nested list."),
      worded("train",
             "write a function to check if a nested list is a  subset of another nested list"),
      worded("test", "Write a function to find the lateral surface area of a cylinder."),
      worded("train", "Write a function to find the lateral surface area of a cone."),
      worded("train", "Write a function to find the lateral surface area of a cone!"),
      worded("validation", "Sort."),
  };
  const auto leaks = find_leaks(problems);
  ASSERT_EQ(leaks.size(), 3u);
  EXPECT_EQ(leaks[0].first, 0u);
  EXPECT_EQ(leaks[0].second, 1u);
  EXPECT_EQ(leaks[0].jaccard, 1);
  EXPECT_EQ(leaks[1].second, 3u);
  EXPECT_DOUBLE_EQ(leaks[1].jaccard, 9.0 / 11.0);
  EXPECT_TRUE(find_leaks({problems[3], problems[4]}).empty()) << "one split";
  EXPECT_EQ(find_leaks(problems, 0.9).size(), 1u);
}

// -------------------------------------------------------------------------------------- refusals

class Refusal : public testing::Test {
 protected:
  const tests::Folder folder_;
  const fs::path path_ = folder_ / "programs.jsonl";

  std::string refusal(const std::string& kind, const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    try {
      read_programs({kind, path_});
    } catch (const base::Error& error) {
      return error.what();
    }
    return "accepted";
  }
  // The second line of a file whose first is right, with `changes` merged in.
  std::string second(const std::string& kind, const Json& changes) {
    const auto name = kind + ".jsonl";
    std::ifstream file(kFixtures + name);
    std::string line;
    std::getline(file, line);
    const Json right = Json::parse(line);
    Json wrong = right;
    wrong.merge_patch(changes);  // null removes a key
    return refusal(kind, right.dump() + "\n" + wrong.dump() + "\n");
  }
};

TEST_F(Refusal, NamesFileLineAndKey) {
  EXPECT_THAT(second("mbpp", {{"task_id", 975}}),
              HasSubstr(path_.string() + ":2: task_id: found 975, allowed are 1 to 974"));
  EXPECT_THAT(second("mbpp", Json::object()),
              HasSubstr(":2: problem 2 appears a second time, first at " + path_.string() + ":1"));
  EXPECT_THAT(second("mbpp", {{"task_id", "3"}}), HasSubstr(":2: task_id: found the string"));
  EXPECT_THAT(second("mbpp", {{"text", nullptr}}), HasSubstr(":2: key \"text\" is missing"));
  EXPECT_THAT(second("mbpp", {{"task_id", 3}, {"text", ""}}),
              HasSubstr("problem 3 has an empty text"));
  EXPECT_THAT(second("mbpp", {{"task_id", 3}, {"test_list", Json::array()}}),
              HasSubstr(":2: test_list: task 3: no test calls a function"));
  EXPECT_THAT(second("mbpp", {{"task_id", 3}, {"test_list", {"twice(2) == 4"}}}),
              HasSubstr(":2: test_list[0]: expected an assert statement, found twice(2) == 4"));
  EXPECT_THAT(second("mbpp", {{"task_id", 3}, {"test_list", {"assert other(2) == 4"}}}),
              HasSubstr("no test calls a function that \"code\" defines"));
  EXPECT_THAT(second("mbpp", {{"task_id", 3}, {"test_list", {7}}}),
              HasSubstr(":2: test_list[0]: found the number 7, expected a string"));
}

TEST_F(Refusal, OfTheOtherFormats) {
  EXPECT_THAT(second("humaneval", {{"task_id", "HumanEval/1"}, {"test", "assert True"}}),
              HasSubstr(":2: test: defines no check(candidate)"));
  EXPECT_THAT(second("humaneval", {{"task_id", "HumanEval/1"}, {"entry_point", "second"}}),
              HasSubstr(":2: entry_point: \"second\" is no function of the prompt"));
  EXPECT_THAT(second("humaneval", Json::object()), HasSubstr("appears a second time"));
  EXPECT_THAT(second("leetcode", {{"id", 1}, {"gt_answer", {"assert Solution().other(1) == 2"}}}),
              HasSubstr(":2: gt_answer[0]: expected an assert statement that calls"));
  EXPECT_THAT(second("leetcode", {{"id", 1}, {"gt_answer", Json::array()}}),
              HasSubstr(":2: problem 1 has no test"));
  EXPECT_THAT(refusal("mbpp_sanitized", "{}"), HasSubstr("expected an array"));
  EXPECT_THAT(refusal("mbpp_sanitized", "[]"), HasSubstr("holds no problem"));
  EXPECT_THAT(refusal("mbpp_sanitized", "[{\"task_id\": 1}]"),
              HasSubstr("[0]: key \"prompt\" is missing"));
  EXPECT_THAT(refusal("mbpp_sanitized", "[\n{\"task_id\": 1,\n]"), HasSubstr(":3"));
}

TEST_F(Refusal, OfFilesThatAreNoText) {
  EXPECT_THAT(refusal("mbpp", ""), HasSubstr("holds no problem"));
  EXPECT_THAT(refusal("mbpp", "{\"text\": \"a\xff\"}"), HasSubstr(":1"));
  EXPECT_THAT(refusal("mbpp", std::string("{\"text\": \"a\0\"}", 14)), HasSubstr(":1"));
  EXPECT_THAT(refusal("mbpp", std::string(100'000, '[')), HasSubstr(":1"));
  EXPECT_THAT(refusal("codenet", "{}"), HasSubstr("\"codenet\" is unknown; supported: humaneval"));
  EXPECT_THROW(read_programs({"mbpp", "/nowhere"}), base::Error);
}

}  // namespace
}  // namespace preimage::data
