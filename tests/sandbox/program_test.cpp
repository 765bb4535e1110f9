// What `preimage judge` reads and writes, and the judges that are none.
#include "preimage/sandbox/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "preimage/base/error.hpp"
#include "preimage/base/json_text.hpp"
#include "preimage/sandbox/judge.hpp"

namespace preimage::sandbox {
namespace {

using base::Json;
using testing::HasSubstr;

Request parsed(const std::string& line, const std::string& place) {
  return parse_request(Json::parse(line), base::member_text(line, "tests"), place);
}

TEST(Verdicts, HaveNamesAndBack) {
  for (int i = 0; i < 12; ++i) {
    const auto verdict = static_cast<Verdict>(i);
    EXPECT_EQ(verdict_named(name(verdict)), verdict);
  }
  EXPECT_FALSE(verdict_named("pass"));
  EXPECT_EQ(name(Verdict::bad_value), "BAD_VALUE");
}

TEST(Request, OfEachKind) {
  const auto tests =
      parsed(R"json({"id": 7, "program": "x", "entry_point": "f", "seed": 3, "setup": "import math",
                      "tests": [{"args": [1], "expected_py": "(1, 2)", "tol": 0.5}]
})json",
             "a.jsonl:1");
  EXPECT_EQ(tests.id, "7");
  EXPECT_EQ(tests.setup, "import math");
  EXPECT_EQ(tests.seed, 3u);
  EXPECT_EQ(tests.tests, R"json([{"args": [1], "expected_py": "(1, 2)", "tol": 0.5}])json");
  const auto asserts =
      parsed(R"json({"id": "a", "program": "x", "assert_tests": ["assert f(1) == 2"]})json", "a:1");
  EXPECT_EQ(asserts.assert_tests.front(), "assert f(1) == 2");
  const auto observed =
      parsed(R"json({"program": "x", "observe": {"call": "run_tests()", "stdout": "ok"
  }
  })json",
             "a:1");
  EXPECT_EQ(observed.observe->call, "run_tests()");
}

void expect_refused(const char* line, const std::string& text) {
  try {
    parsed(line, "a.jsonl:4");
    FAIL() << line;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data);
    EXPECT_THAT(error.what(), testing::StartsWith("a.jsonl:4"));
    EXPECT_THAT(error.what(), HasSubstr(text));
  }
}

TEST(Request, RefusesWhatCannotBeJudged) {
  expect_refused(R"json({"id": 1})json", "program");
  expect_refused(R"json({"program": 1})json", "string");
  expect_refused(R"json({"program": "x"})json", "found none, expected one of \"tests\"");
  expect_refused(R"json({"program": "x", "assert_tests": ["a"], "check": "b"})json", "and");
  expect_refused(R"json({"program": "x", "tests": [{"args": [], "expected": 1}]})json",
                 "entry_point");
  expect_refused(R"json({"program": "x", "entry_point": "f", "tests": []})json", "no test");
  expect_refused(R"json({"program": "x", "entry_point": "f", "tests": [{"expected": 1}]})json",
                 "neither \"args\" and \"args_py\"");
  expect_refused(
      R"json({"program": "x", "entry_point": "f", "tests": [{"args": 1, "expected": 1}]})json",
      "list");
  expect_refused(R"json({"program": "x", "entry_point": "f",
                     "tests": [{"args": [], "expected": 1, "expected_py": "1"}]})json",
                 "both");
  expect_refused(R"json({"program": "x", "entry_point": "f",
                     "tests": [{"args": [], "expected": 1, "tol": -1}]})json",
                 "negative");
  expect_refused(R"json({"program": "x", "assert_tests": []})json", "no test");
  expect_refused(R"json({"program": "x", "entry_point": "f",
                     "tests": [{"args": [], "expected": 1, "tolerance": 1}]})json",
                 "tests[0]: unknown key \"tolerance\"");
  expect_refused(R"json({"program": "x", "observe": {"cal": "f()"}})json",
                 "observe: unknown key \"cal\"");
  for (const char* name :
       {"1f", "f-1", "f(", "f(1)", "f.", ".f", "f g", "class", "Solution().", "A().None", "()"}) {
    expect_refused(
        (R"json({"program": "x", "check": "c", "entry_point": ")json" + std::string(name) + "\"}")
            .c_str(),
        "entry_point: found");
  }
  for (const char* name : {"f", "_f1", "Solution().f", "A.b.c", "A().b().c", "f\u00fc"}) {
    EXPECT_EQ(parsed(R"json({"program": "x", "check": "c", "entry_point": ")json" +
                         std::string(name) + "\"}",
                     "a:1")
                  .entry_point,
              name);
  }
}

TEST(Record, AsJsonHoldsOutputOfAnyBytes) {
  Record record;
  record.id = "a";
  record.verdict = Verdict::output;
  record.output = std::string("\0\xff\\x", 4);
  const auto json = to_json(record);
  EXPECT_EQ(json["verdict"], "OUTPUT");
  EXPECT_EQ(json["output"], "\\u0000\\xff\\\\x");
  EXPECT_FALSE(json.contains("facts"));
}

TEST(FakeJudge, AnswersInOrderWithTickets) {
  FakeJudge judge([](const Request& request) {
    Record record;
    record.verdict = request.program == "good" ? Verdict::pass : Verdict::wrong;
    return record;
  });
  std::vector<Request> requests(3);
  requests[1].program = "good";
  for (size_t i = 0; i < 3; ++i) requests[i].id = std::to_string(i);
  const auto records = judge_all(judge, requests);
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[1].verdict, Verdict::pass);
  EXPECT_EQ(records[2].verdict, Verdict::wrong);
  EXPECT_EQ(records[2].id, "2");
  EXPECT_FALSE(judge.next());
}

}  // namespace
}  // namespace preimage::sandbox
