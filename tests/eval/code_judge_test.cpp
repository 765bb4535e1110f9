// Answers judged in the real sandbox: trees, names, probes; hostile answers beside honest ones.
// time limit: 120 s
#include "preimage/eval/code_judge.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "preimage/base/error.hpp"
#include "preimage/data/programs.hpp"
#include "preimage/eval/program_prompt.hpp"
#include "preimage/text/normal_code.hpp"
#include "sandbox/opened.hpp"

namespace preimage::eval {
namespace {

CodeTarget python(const std::string& id, const std::string& code) {
  return {.id = id, .code = code};
}

const char* const kCount = R"(def count_even(values):
    """Counts them."""
    total = 0
    for value in values:
        if value % 2 == 0:  # even
            total += 1
    return total)";

const char* const kDivide = R"(def divide(a, b):
    if b == 0:
        raise ZeroDivisionError("no")
    return a // b)";

class Judging : public testing::Test {
 protected:
  // The terms of each answer for one target, in order.
  std::vector<base::Json> judge(std::vector<CodeTarget> targets, const std::string& target,
                                const std::vector<std::string>& answers) {
    CodeJudge judge(opened->pool, std::move(targets), {.forms = 4});
    std::map<int64_t, size_t> which;
    for (size_t i = 0; i < answers.size(); ++i) {
      Answer answer;
      answer.text = answers[i];
      which[judge.submit({.target = target}, answer)] = i;
    }
    std::vector<base::Json> terms(answers.size());
    while (auto found = judge.next(-1)) terms[which.at(found->first)] = found->second;
    EXPECT_EQ(judge.pending(), 0);
    return terms;
  }

  static void SetUpTestSuite() {
    auto options = sandbox::tests::quick_options();
    options.limits.cpu_s = 0.5;
    options.confirm_timeouts = false;
    opened = std::make_unique<sandbox::tests::Opened>(options);
  }
  static void TearDownTestSuite() { opened.reset(); }
  static std::unique_ptr<sandbox::tests::Opened> opened;
};
std::unique_ptr<sandbox::tests::Opened> Judging::opened;

TEST_F(Judging, LevelsOfPythonTrees) {
  const std::string code = kCount;
  const std::string other_layout =
      "def count_even(values):\n  total = 0\n  for value in values:\n    if (value % 2 == 0):\n"
      "      total += 1\n  return total";
  const std::string renamed =
      "def count_even(xs):\n    n = 0\n    for x in xs:\n        if x % 2 == 0:\n"
      "            n += 1\n    return n";
  const std::string swapped =  // the same shape, other use of names
      "def count_even(xs):\n    n = 0\n    for x in xs:\n        if n % 2 == 0:\n"
      "            x += 1\n    return n";
  const std::string function_renamed =
      "def count(values):\n    total = 0\n    for value in values:\n        if value % 2 == 0:\n"
      "            total += 1\n    return total";
  const auto terms =
      judge({python("count", code)}, "count",
            {"```python\n" + code + "  \n```", other_layout, renamed, swapped, function_renamed,
             "def (", "", code, std::string(100000, '('), std::string("a\0b", 3)});
  const auto levels = [&](size_t i) {
    std::string out;
    for (const char* level : {"exact", "ast", "ast_renamed", "parses"})
      out += terms[i].at(level).get<bool>() ? '1' : '0';
    return out;
  };
  EXPECT_EQ(levels(0), "1111");
  EXPECT_EQ(levels(1), "0111");
  EXPECT_EQ(levels(2), "0011");
  EXPECT_EQ(levels(3), "0001");
  EXPECT_EQ(levels(4), "0001");
  EXPECT_EQ(levels(5), "0000");
  EXPECT_EQ(levels(6), "0001");  // the empty program
  EXPECT_EQ(levels(7), "1111");
  EXPECT_EQ(levels(8), "0000");
  EXPECT_EQ(levels(9), "0000");
  EXPECT_TRUE(terms[0].at("exec").is_null());  // no probes were made
  EXPECT_TRUE(terms[0].at("tok_eq").is_null());
}

// One to one renamings of local names are equal at L2, and nothing else is.
TEST_F(Judging, ScopesOfRenamedNames) {
  const std::vector<std::pair<std::string, std::string>> same = {
      {"def f(a):\n    return [b for b in a if b]", "def f(x):\n    return [y for y in x if y]"},
      {"def f(a):\n    g = lambda b, c=a: b + c\n    return g",
       "def f(q):\n    h = lambda r, s=q: r + s\n    return h"},
      {"def f():\n    a = 1\n    def g():\n        nonlocal a\n        a += 1\n    return g",
       "def f():\n    z = 1\n    def k():\n        nonlocal z\n        z += 1\n    return k"},
      {"def f(a):\n    try:\n        return int(a)\n    except ValueError as e:\n        return "
       "str(e)",
       "def f(v):\n    try:\n        return int(v)\n    except ValueError as error:\n        "
       "return str(error)"},
      {"def f(a):\n    if (n := len(a)) > 3:\n        return n",
       "def f(b):\n    if (m := len(b)) > 3:\n        return m"},
      {"def f(a):\n    match a:\n        case [x, *r]:\n            return x, r",
       "def f(b):\n    match b:\n        case [y, *s]:\n            return y, s"},
      {"total = [v for v in range(3)]", "total = [w for w in range(3)]"}};
  const std::vector<std::pair<std::string, std::string>> different = {
      {"def f(a):\n    return a.x", "def f(a):\n    return a.y"},
      {"def f(a):\n    return g(x=a)", "def f(a):\n    return g(y=a)"},
      {"def f(a):\n    global t\n    t = a", "def f(a):\n    global u\n    u = a"},
      {"class C:\n    a = 1\n    def m(self):\n        return a",
       "class C:\n    b = 1\n    def m(self):\n        return a"},
      {"def f(a, b):\n    return a - b", "def f(a, b):\n    return b - a"},
      {"def f(a):\n    return a", "def f(a):\n    return b"},
      {"def f(a):\n    return 'x'", "def f(a):\n    return 'y'"}};
  std::vector<CodeTarget> targets;
  for (const auto* list : {&same, &different}) {
    for (const auto& [target, answer] : *list) targets.push_back(python(target, target));
  }
  CodeJudge judge(opened->pool, targets);
  std::map<int64_t, std::pair<bool, std::string>> expected;
  for (const auto* list : {&same, &different}) {
    for (const auto& [target, text] : *list) {
      Answer answer;
      answer.text = text;
      expected[judge.submit({.target = target}, answer)] = {list == &same,
                                                            target + "\n---\n" + text};
    }
  }
  while (auto found = judge.next(-1)) {
    const auto& [equal, what] = expected.at(found->first);
    EXPECT_EQ(found->second.at("ast_renamed").get<bool>(), equal) << what;
    EXPECT_FALSE(found->second.at("ast").get<bool>()) << what;
    expected.erase(found->first);
  }
  EXPECT_TRUE(expected.empty());
}

TEST_F(Judging, ProbesAreMadeByTheTargetItself) {
  std::vector<CodeTarget> targets = {
      python("count", kCount),
      python("divide", kDivide),
      python("clock", "import time\ndef f(x):\n    return x + time.time() * 0"),
      python("chance", "def f(x):\n    return hash(str(x))"),
      python("nothing", "def f(x):\n    pass"),
      python("hangs",
             "def collatz(n):\n    k = 0\n    while n != 1:\n        n = n // 2 if n % 2 == 0 "
             "else 3 * n + 1\n        k += 1\n    return k"),
      python(
          "two",
          "def helper(x):\n    return x\n\ndef join(words, mark):\n    return mark.join(words)")};
  make_probes(opened->pool, targets, {.calls = {"count_even([2, 4, 6, 8])"}});
  const auto& count = targets[0];
  EXPECT_EQ(count.entry_point, "count_even");
  ASSERT_GE(count.probes.size(), 3u);
  EXPECT_LE(count.probes.size(), 8u);
  EXPECT_EQ(count.probes[0], (Probe{"count_even([2, 4, 6, 8])", "4", ""}));
  bool raises = false;
  for (const auto& probe : targets[1].probes) raises |= probe.raised == "ZeroDivisionError";
  EXPECT_TRUE(raises);
  EXPECT_TRUE(targets[2].probes.empty());
  EXPECT_TRUE(targets[3].probes.empty());
  EXPECT_TRUE(targets[4].probes.empty());   // a stub holds every probe of it
  EXPECT_GE(targets[5].probes.size(), 3u);  // though collatz(0) never ends
  EXPECT_EQ(targets[6].entry_point, "join");
  EXPECT_GE(targets[6].probes.size(), 3u);
  auto again = targets;
  make_probes(opened->pool, again, {.calls = {"count_even([2, 4, 6, 8])"}});
  for (size_t i = 0; i < targets.size(); ++i) EXPECT_EQ(again[i].probes, targets[i].probes) << i;
}

TEST_F(Judging, ProbesAreTheSplitJudgesWord) {
  std::vector<CodeTarget> targets = {python("count", kCount), python("divide", kDivide)};
  // 0: what a wrong program may give as well.
  make_probes(opened->pool, targets, {.calls = {"count_even([])"}});
  for (const auto& target : targets) ASSERT_GE(target.probes.size(), 3u);
  const std::string rewrite = "count_even = lambda v: sum(x % 2 == 0 for x in v)";
  const auto terms = judge(
      targets, "count",
      {kCount, rewrite, "def count_even(values):\n    return None",
       "def count_even(values):\n    return 0", "import os\nos._exit(0)", "raise SystemExit(0)",
       "def other(values):\n    return 0", "def (",
       "def count_even(values):\n    while values: pass\n    return 0",
       "class Any:\n    def __eq__(self, other): return True\ndef count_even(v): return Any()"});
  EXPECT_EQ(terms[0].at("exec"), 1.0);
  EXPECT_EQ(terms[1].at("exec"), 1.0);
  EXPECT_EQ(terms[1].at("exec_verdict"), "PASS");
  EXPECT_FALSE(terms[1].at("ast_renamed").get<bool>());
  for (const size_t stub : {2, 4, 5, 6, 7, 9}) EXPECT_EQ(terms[stub].at("exec"), 0.0) << stub;
  // It holds the first probe and hangs in the next two; the others are not tried.
  EXPECT_EQ(terms[8].at("exec"), 1.0 / static_cast<double>(targets[0].probes.size()));
  EXPECT_EQ(terms[8].at("exec_verdict"), "TIMEOUT");
  const double constant = terms[3].at("exec").get<double>();
  EXPECT_GT(constant, 0);
  EXPECT_LT(constant, 1);
  const auto divide =
      judge(targets, "divide", {kDivide, "def divide(a, b):\n    return a // b if b else None"});
  EXPECT_EQ(divide[0].at("exec"), 1.0);
  EXPECT_LT(divide[1].at("exec").get<double>(), 1.0);
}

TEST_F(Judging, OtherLanguagesByTheirTokens) {
  const CodeTarget js{
      .id = "js", .language = Language::javascript, .code = "function f(a) {\n  return a + 1;\n}"};
  const auto terms = judge({js}, "js",
                           {"```js\nfunction f( a ) {\n\treturn a+1;\n}\n```",
                            "function f(b) {\n  return b + 1;\n}", js.code});
  EXPECT_EQ(terms[0].at("tok_eq"), true);
  EXPECT_EQ(terms[0].at("exact"), false);
  EXPECT_TRUE(terms[0].at("ast").is_null());
  EXPECT_EQ(terms[1].at("tok_eq"), false);
  EXPECT_EQ(terms[2].at("exact"), true);
}

// The whole chain: pocket-coder writes, threads and the sandbox judge meanwhile. A program that it
// writes for one problem is the target of all, so that this prompt has it exactly.
TEST_F(Judging, OfAnswersThatAModelWrites) {
  const std::string source = PREIMAGE_SOURCE_DIR, folder = source + "/jobs/models/pocket-coder";
  const auto model = load_text_model(folder, lm::load_model(folder, {}), false);
  const auto problems =
      data::read_programs({"mbpp", source + "/jobs/data/functions/problems.jsonl.gz"});
  std::vector<PromptRequest> requests;
  for (size_t i = 0; i < 8; ++i) {
    const auto text = program_prompt({.pattern = "{text}\n\n{tests}\n\n"}, problems[i]);
    requests.push_back({.prompt = prompt_ids(model, text),
                        .target = "t",
                        .max_new_tokens = 60,
                        .stop_ids = stop_ids(model)});
  }
  const auto evaluate = [&](AnswerJudge* judge, int64_t batch) {
    PromptEvaluator evaluator({model, {}, {}, judge}, {.batch = batch, .longest = 500});
    for (const auto& request : requests) evaluator.submit(request);
    std::vector<Evaluation> results;
    while (auto done = evaluator.next()) results.push_back(std::move(done->evaluation));
    return results;
  };
  std::vector<CodeTarget> written;
  for (const auto& result : evaluate(nullptr, 8))
    written.push_back(python("t", text::normal_code(result.answers[0].text)));
  make_probes(opened->pool, written);
  const auto chosen = std::find_if(written.begin(), written.end(),
                                   [](const CodeTarget& one) { return !one.probes.empty(); });
  ASSERT_NE(chosen, written.end());
  requests.push_back(requests[static_cast<size_t>(chosen - written.begin())]);
  std::vector<base::Json> first;
  for (const int64_t batch : {1, 8}) {
    CodeJudge code(opened->pool, {*chosen});
    std::vector<base::Json> terms;
    int64_t others = 0;
    for (const auto& result : evaluate(&code, batch)) {
      terms.push_back(result.answers[0].terms);
      others += terms.back().at("exact") == false ? 1 : 0;
    }
    EXPECT_GT(others, 4);
    for (const auto& own : {terms[static_cast<size_t>(chosen - written.begin())], terms.back()}) {
      EXPECT_EQ(own.at("exact"), true);
      EXPECT_EQ(own.at("ast"), true);
      EXPECT_EQ(own.at("exec"), 1.0);
    }
    if (first.empty()) first = terms;
    EXPECT_EQ(terms, first);
  }
}

TEST_F(Judging, RefusesTargetsThatAreNoPrograms) {
  EXPECT_THROW(CodeJudge(opened->pool, {python("bad", "def (")}), base::Error);
  EXPECT_THROW(CodeJudge(opened->pool, {python("a", "x = 1"), python("a", "x = 2")}), base::Error);
}

}  // namespace
}  // namespace preimage::eval
