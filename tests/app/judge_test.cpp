// time limit: 60 s
// `preimage judge` as a user calls it: verdicts in the order of the input, what it refuses, and
// what odd programs get.
#include "app/program.hpp"

namespace preimage::app::tests {
namespace {

using testing::HasSubstr;

class Judge : public ProgramTest {
 protected:
  static std::vector<std::string> command(std::vector<std::string> more = {}) {
    // Without root the weaker level, by name.
    std::vector<std::string> arguments = {"judge", "--no-calibration", "--level",
                                          ::geteuid() == 0 ? "full" : "user"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // f(x) is x + 1.
  static Json line(const Json& id, const std::string& program) {
    return {{"id", id},
            {"program", program},
            {"entry_point", "f"},
            {"tests", {{{"args", {1}}, {"expected", 2}}, {{"args", {4}}, {"expected", 5}}}}};
  }
  static std::string text_of_lines(const std::vector<Json>& lines) {
    std::string text;
    for (const auto& line : lines) text += line.dump() + "\n";
    return text;
  }
};

const std::string kRight = "def f(x): return x + 1\n";

TEST_F(Judge, VerdictsInTheOrderOfTheInput) {
  std::vector<Json> lines = {
      line("slow", "import time\ntime.sleep(0.3)\n" + kRight),
      line("wrong", "def f(x): return x\n"), line(70, kRight), line("no entry", "x = 1\n"),
      line("not plain", "class A:\n    def __eq__(self, o): return True\ndef f(x): return A()\n")};
  lines[2]["carried"] = {1, "a"};
  lines.push_back({{"program", "def g(x):\n    return (x, {x})\n"},
                   {"assert_tests", {"assert g(1) == (1, {1})"}},
                   {"verdict", "PASS"}});
  lines.push_back({{"program", "def g(x): return x\n"},
                   {"entry_point", "g"},
                   {"check", "def check(candidate):\n    assert candidate(1) == 2\n"}});
  lines.push_back({{"program", "def run_tests(): print('all passed')\n"},
                   {"observe", {{"call", "run_tests()"}, {"stdout", "all passed"}}}});
  const auto in = put_lines("in.jsonl", lines), out = path("out.jsonl");
  const auto ended = preimage(command({"--in", in, "--out", out}));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out, "");
  const auto records = lines_of(text_of("out.jsonl"));
  const std::vector<std::string> expected = {"PASS",      "WRONG", "PASS",  "NO_ENTRY",
                                             "BAD_VALUE", "PASS",  "WRONG", "NO_VERDICT"};
  ASSERT_EQ(records.size(), expected.size());
  for (size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i]["verdict"], expected[i]) << i;
  EXPECT_EQ(records[0]["id"], "slow");
  EXPECT_EQ(records[2]["id"], 70);
  EXPECT_EQ(records[2]["carried"], Json({1, "a"}));
  EXPECT_FALSE(records[2].contains("program"));
  EXPECT_EQ(records[5]["id"], 6);  // the line's number
  EXPECT_EQ(records[7]["facts"]["stdout_marker"], true);
  for (const char* field :
       {"cpu_s", "wall_s", "max_rss_mb", "runs", "first_verdict", "detail", "output", "level"})
    EXPECT_TRUE(records[0].contains(field)) << field;
  // Standard input and output; the same again but for times.
  const auto again = preimage(command(), text_of_lines(lines));
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(lines_of(again.out).size(), records.size());
}

TEST_F(Judge, OddProgramsGetAVerdict) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {line(1, std::string("def f(x): return x + 1\n\0", 24)), "SYNTAX"},
      {line(2, std::string(100'000, '(')), "SYNTAX"},
      {line(3, "x = '" + std::string(10 << 20, 'a') + "'\n" + kRight), "PASS"},
      {line(4, ""), "NO_ENTRY"},
      {line(5, "def f(x): raise ValueError('\\ud800')\n"), "ERROR"},
      {line(6, "raise SystemExit\n"), "NO_VERDICT"},
      {{{"id", 7}, {"program", kRight}, {"assert_tests", {"assert f(1) == 2", "assert f("}}},
       "INFRA"},
      {{{"id", 8},
        {"program", kRight},
        {"entry_point", "f"},
        {"tests", {{{"args", {1}}, {"expected_py", "open('x')"}}}}},
       "INFRA"},
      {{{"id", 9}, {"program", "x = 1\n"}, {"assert_tests", {"assert True"}}}, "PASS"},
  };
  std::vector<Json> lines;
  for (const auto& [request, verdict] : cases) lines.push_back(request);
  const auto ended = preimage(command(), text_of_lines(lines));
  EXPECT_EQ(ended.code, 0) << ended.err;
  const auto records = lines_of(ended.out);
  ASSERT_EQ(records.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i)
    EXPECT_EQ(records[i]["verdict"], cases[i].second) << i << " " << records[i]["detail"];
  EXPECT_THAT(records[6]["detail"].get<std::string>(), HasSubstr("test 2"));
  EXPECT_THAT(records[7]["detail"].get<std::string>(), HasSubstr("not plain data"));
}

TEST_F(Judge, BadLinesAreRefusedOrSkipped) {
  const auto good = line("a", kRight).dump() + "\n", other = line("b", kRight).dump() + "\n";
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"{\"program\": 1}", "program: found"},
      {"not json", "-:2"},
      {"{\"program\": \"\xff\"}", "-:2"},
      {"[1]", "expected a JSON object"},
      {"", "blank line"},
      {"{\"program\": \"x\"}", "expected one of \"tests\""},
      {"{\"program\": \"x\", \"tests\": [{\"args\": [], \"expected\": 1}]}", "entry_point"},
      {good.substr(0, good.size() - 1), "again"},
      {"{\"id\": [1], \"program\": \"x\", \"assert_tests\": [\"assert 1\"]}", "id: found"},
      {std::string(100'000, '['), "-:2"}};
  for (const auto& [text, message] : bad) {
    const auto input = good + text + "\n" + line("last", kRight).dump() + "\n";
    const auto place = message == "-:2" ? std::string(":2") : message;
    expect_refused(command(), 65, place, input);
  }
  std::string all = good;
  for (const auto& [text, message] : bad) all += text + "\n";
  const auto ended = preimage(command({"--on-bad-line", "skip"}), all + other);
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("10 bad lines skipped"));
  EXPECT_EQ(lines_of(ended.out).size(), 2u);
}

TEST_F(Judge, SlipsInALineAreNamedWithTheirField) {
  const std::string named = "{\"program\": \"x\", \"entry_point\": \"f\", ";
  const auto ended =
      preimage(command({"--on-bad-line", "skip"}),
               "{\"program\": \"x\", \"entry_point\": \"f(1)\", \"check\": \"c\"}\n"
               "{\"program\": \"x\", \"observe\": {\"attributes\": \"a\"}}\n" +
                   named + "\"tests\": [{\"args\": [], \"expected\": 1, \"tolerance\": 1}]}\n" +
                   named + "\"tests\": [{\"args\": [2], \"expected\": 1e400}]}\n");
  EXPECT_EQ(ended.code, 0) << ended.err;
  for (const char* message :
       {":1: entry_point: found the string \"f(1)\", expected the name of a function",
        ":2: observe: unknown key \"attributes\"", ":3: tests[0]: unknown key \"tolerance\"",
        ":4:74: tests[0].expected: found 1e400, which is beyond the largest number"})
    EXPECT_THAT(ended.err, HasSubstr(message));
}

// A parser of JSON numbers would take them for doubles, and an object's keys in another order.
TEST_F(Judge, IntegersAndKeysAreJudgedAsTheyStandInTheLine) {
  const auto line = [](const std::string& program, const std::string& tests) {
    return "{\"program\": " + Json(program).dump() +
           ", \"entry_point\": \"f\", \"tests\": " + tests + "}\n";
  };
  const std::string digits(5000, '7');
  const auto ended = preimage(
      command(),
      line("def f(x): return 2**65", R"([{"args": [1], "expected": 36893488147419103233}])") +
          line("def f(x): return 2**65 + 1",
               R"([{"args": [1], "expected": 36893488147419103233}])") +
          line("def f(x): return -x",
               "[{\"args\": [-" + digits + "], \"expected\": " + digits + "}]") +
          line("def f(x): return x + 1",
               "[{\"args\": [" + digits + "], \"expected\": " + digits + "}]") +
          line(
              "def f(d, **k): return [*d, *k]",
              R"([{"args": [{"b": 1, "a": 2}], "kwargs": {"z": 1, "y": 2}, "expected": ["b", "a", "z", "y"]}])"));
  EXPECT_EQ(ended.code, 0) << ended.err;
  std::vector<std::string> verdicts;
  for (const auto& record : lines_of(ended.out)) verdicts.push_back(record["verdict"]);
  EXPECT_THAT(verdicts, testing::ElementsAre("WRONG", "PASS", "PASS", "WRONG", "PASS"));
}

TEST_F(Judge, ReferencesThatMustPass) {
  const auto in =
      put_lines("in.jsonl", {line("good", kRight), line("bad", "def f(x): return 3\n")});
  auto ended = preimage(command({"--in", in, "--require-pass"}));
  EXPECT_EQ(ended.code, 65);
  EXPECT_THAT(ended.err, HasSubstr("preimage: bad: WRONG: test"));
  EXPECT_THAT(ended.err, HasSubstr("1 of 2 references do not pass"));
  EXPECT_EQ(lines_of(ended.out).size(), 2u);
  ended = preimage(command({"--in", in, "--require-pass", "--exclude", put("ids", "bad\n")}));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(lines_of(ended.out).size(), 1u);
}

TEST_F(Judge, BrokenTestsAreToldOnceForEachProblem) {
  std::vector<Json> lines;
  const auto add = [&](const std::string& id, const std::string& program,
                       const std::string& setup) {
    lines.push_back({{"id", id},
                     {"program", program},
                     {"setup", setup},
                     {"assert_tests", {"assert f(1) == 2"}}});
  };
  for (int i = 0; i < 3; ++i) add("a" + std::to_string(i), kRight, "import nosuchmodule\n");
  add("b", "import os\nos._exit(0)\n", "x = 1 / 0\n");
  add("c", "def f(x): return x\n", "");
  const auto ended = preimage(command(), text_of_lines(lines));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("warning: a0: the tests cannot be run: setup, line 1: "));
  EXPECT_THAT(ended.err, HasSubstr("No module named 'nosuchmodule' (3 with these tests, not"));
  EXPECT_THAT(ended.err, HasSubstr("warning: b: the tests cannot be run: "));
  EXPECT_THAT(ended.err, testing::Not(HasSubstr("a1")));
  EXPECT_THAT(ended.err, testing::Not(HasSubstr("warning: c")));
  std::vector<std::string> verdicts;
  for (const auto& record : lines_of(ended.out)) verdicts.push_back(record["verdict"]);
  EXPECT_THAT(verdicts, testing::ElementsAre("INFRA", "INFRA", "INFRA", "INFRA", "WRONG"));
}

TEST_F(Judge, WhatIsMissing) {
  const auto input = line("a", kRight).dump() + "\n";
  expect_refused(command({"--python", "no-such-python"}), 69, "no-such-python", input);
  expect_refused(command({"--in", path("nowhere")}), 78, "nowhere");
  expect_refused(command({"--out", path("no/folder")}), 74, "no/folder", input);
  const auto nothing = preimage(command(), "");
  EXPECT_EQ(nothing.code, 0) << nothing.err;
  EXPECT_EQ(nothing.out, "");
}

// Two runs beside each other share no user, group or folder.
TEST_F(Judge, FiveAtOnceGiveTheSame) {
  std::vector<Json> lines;
  for (int i = 0; i < 12; ++i)
    lines.push_back(line(i, i % 3 ? kRight : "import os\nwhile True: os.fork()\n"));
  const auto in = put_lines("in.jsonl", lines);
  std::vector<pid_t> others;
  for (int i = 0; i < 4; ++i) {
    std::vector<std::string> argv = {PREIMAGE_BINARY};
    for (const auto& word : command({"--in", in, "--out", path(base::str("out", i))}))
      argv.push_back(word);
    others.push_back(base::start_process({.argv = argv}));
  }
  const auto ended = preimage(command({"--in", in, "--out", path("out4")}));
  EXPECT_EQ(ended.code, 0) << ended.err;
  for (const pid_t other : others) EXPECT_EQ(base::wait_process(other).exit_code, 0);
  for (int i = 0; i < 5; ++i) {
    const auto records = lines_of(text_of(base::str("out", i)));
    ASSERT_EQ(records.size(), lines.size());
    for (int k = 0; k < 12; ++k)
      EXPECT_EQ(records[static_cast<size_t>(k)]["verdict"], k % 3 ? "PASS" : "TIMEOUT");
  }
}

}  // namespace
}  // namespace preimage::app::tests
