// time limit: 120 s
// What programs get which verdict: values of every kind, the forms of MBPP, HumanEval and LeetCode,
// odd sources, observed programs.
#include "preimage/base/str.hpp"
#include "sandbox/opened.hpp"

namespace preimage::sandbox::tests {
namespace {

using testing::HasSubstr;

class Judged : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto options = quick_options();
    options.limits.cpu_s = 1;
    options.limits.wall_s = 4;
    opened_ = new Opened(options);
  }
  static void TearDownTestSuite() {
    delete opened_;
    opened_ = nullptr;
  }
  static Record judge(Request request) { return opened_->judge(std::move(request)); }
  static void expect(const Request& request, Verdict verdict, const std::string& detail = "") {
    const auto record = judge(request);
    EXPECT_EQ(name(record.verdict), name(verdict)) << request.program << "\n" << record.detail;
    EXPECT_THAT(record.detail, HasSubstr(detail)) << request.program;
  }
  static Request testing_one(const std::string& program, const std::string& args,
                             const std::string& expected, double tolerance = 0) {
    auto asked = request(program);
    asked.tests =
        Json::array({{{"args_py", args}, {"expected_py", expected}, {"tol", tolerance}}}).dump();
    return asked;
  }
  static inline Opened* opened_ = nullptr;
};

TEST_F(Judged, RecordsSayWhatTheProgramUsed) {
  const auto record = judge(request("print('hello')\ndef f(x): return x + 1\n"));
  EXPECT_EQ(record.verdict, Verdict::pass);
  EXPECT_EQ(record.output, "hello\n");
  EXPECT_GT(record.wall_s, 0);
  EXPECT_GT(record.max_rss_mb, 1);
  EXPECT_LT(record.cpu_s, 1);
  EXPECT_EQ(record.first_verdict, Verdict::pass);
}

TEST_F(Judged, PlainVerdicts) {
  expect(request("def f(x): return x\n"), Verdict::wrong, "found");
  expect(request("def f(x): return x / 0\n"), Verdict::error, "ZeroDivisionError");
  expect(request("def f(x): return (\n"), Verdict::syntax);
  expect(request("x = 1\n"), Verdict::no_entry, "f");
  expect(request("def f(x): return object()\n"), Verdict::bad_value, "object");
  expect(request("raise ValueError('at once')\n"), Verdict::error, "at once");
}

TEST_F(Judged, ValuesOfEveryPlainTypeCrossBothWays) {
  for (const char* value : {"None", "True", "0", "-7", "10**400", "1.5", "float('inf')", "2+3j",
                            "'a\\x00\\ud800\\U0001f600'", "b'\\xff'", "(1, (2, [3]))", "{1, 2}",
                            "{(1, 'a'): [None, {2.5: b'x'}]}", "[]", "()", "{}"}) {
    // literal_eval takes no calls: big numbers and infinities are written out.
    std::string literal = value;
    if (literal == "10**400") literal = "1" + std::string(400, '0');
    if (literal == "float('inf')") literal = "1e999";
    expect(testing_one("def f(x): return x\n", "(" + literal + ",)", literal), Verdict::pass);
  }
  expect(testing_one("def f(x): return x\n", "([1, 2],)", "(1, 2)"), Verdict::wrong);
}

TEST_F(Judged, Tolerance) {
  expect(
      testing_one("def f(x): return [x / 3, {'a': 1.0}]\n", "(1,)", "[0.333, {'a': 1.001}]", 0.01),
      Verdict::pass);
  expect(testing_one("def f(x): return [x / 3]\n", "(1,)", "[0.3]", 0.01), Verdict::wrong);
  expect(testing_one("def f(x): return float('nan')\n", "(1,)", "0.0", 0.1), Verdict::wrong);
}

// Of the form of MBPP 40, 88, 653 and 902: what they return counts by its content.
TEST_F(Judged, DictionariesOfTheCollectionsModule) {
  expect(asserting("from collections import Counter, defaultdict, OrderedDict\n"
                   "def count(x): return Counter(x)\n"
                   "def group(x):\n    d = defaultdict(list)\n    for k, v in x: d[k].append(v)\n  "
                   "  return d\n"
                   "def ordered(x): return OrderedDict(x)\n",
                   {"assert count('aab') == {'a': 2, 'b': 1}",
                    "assert group([(1, 2), (1, 3)]) == {1: [2, 3]}",
                    "assert ordered([(1, 2)]) == ({1: 2})"}),
         Verdict::pass);
}

// MBPP 601: the arguments are objects of a class of the program.
TEST_F(Judged, ArgumentsOfAClassOfTheProgram) {
  const std::string program =
      "class Pair:\n    def __init__(self, a, b):\n        self.a = a\n        self.b = b\n"
      "def longest(pairs, n): return max(p.b - p.a for p in pairs[:n])\n";
  expect(asserting(program, {"assert longest([Pair(5, 24), Pair(15, 25)], 2) == 19"}),
         Verdict::pass);
  expect(asserting(program, {"assert longest([Pair(5, 24)], 1) == 18"}), Verdict::wrong);
  // Such an object decides no test.
  expect(asserting(program + "Pair.__eq__ = lambda self, other: True\n"
                             "def longest(pairs, n): return pairs[0]\n",
                   {"assert longest([Pair(5, 24)], 1) == 18"}),
         Verdict::bad_value, "Pair");
}

// MBPP 533 passes types; 596 uses a module it does not import.
TEST_F(Judged, TypesAsArgumentsAndModulesOfTheTests) {
  expect(asserting("def drop(t, kind): return [x for x in t if not isinstance(x, kind)]\n",
                   {"assert drop((4, 5.5, 'a'), int) == [5.5, 'a']"}),
         Verdict::pass);
  expect(asserting("import sys\ndef size(t): return sys.getsizeof(t)\n",
                   {"assert size((1, 2)) == sys.getsizeof((1, 2))"}),
         Verdict::pass);
}

// MBPP 367 and 927: set-up that needs a class of the program.
TEST_F(Judged, SetUpThatNeedsTheProgram) {
  const std::string program =
      "class Node:\n    def __init__(self, data):\n        self.data = data\n"
      "        self.left = None\n        self.right = None\n"
      "def height(node): return 0 if node is None else 1 + max(height(node.left), "
      "height(node.right))\n";
  const std::string setup =
      "root = Node(1)\nroot.left = Node(2)\nroot.left.left = Node(4)\nroot1 = Node(1)\n";
  expect(asserting(program, {"assert height(root) == 3", "assert height(root1) == 1"}, setup),
         Verdict::pass);
  expect(asserting(program, {"assert height(root) == 2"}, setup), Verdict::wrong);
}

// Set-up before the program: imports it uses, and helpers that it cannot replace.
TEST_F(Judged, SetUpBeforeTheProgramIsTheTestsOwn) {
  const std::string setup =
      "import math\nfrom typing import List\ndef same(a, b): return sorted(a) == sorted(b)\n";
  expect(asserting("def f(x: List[int]): return [math.sqrt(v) for v in x]\n",
                   {"assert same(f([1, 4]), [2, 1])"}, setup),
         Verdict::pass);
  expect(asserting("def f(x): return []\ndef same(a, b): return True\n",
                   {"assert same(f([1, 4]), [2, 1])"}, setup),
         Verdict::wrong);
}

// What a function does to its arguments, the tests see, as they would in one process.
TEST_F(Judged, ChangedArguments) {
  const std::string tail = "def tail(x):\n    x.sort()\n    return x.pop()\n";
  expect(asserting(tail, {"values = [3, 1, 2]\nassert tail(values) == 3\nassert tail(values) == 2\n"
                          "assert values == [1]"}),
         Verdict::pass);
  expect(asserting(tail, {"assert tail(values) == 3", "assert values == [1, 2]"},
                   "values = [3, 1, 2]\n"),
         Verdict::pass);
  expect(asserting("def tail(x): return max(x)\n",
                   {"assert tail(values) == 3", "assert values == [1, 2]"}, "values = [3, 1, 2]\n"),
         Verdict::wrong);
}

// MBPP 126 defines a function that is named as a builtin.
TEST_F(Judged, AFunctionNamedAsABuiltin) {
  expect(asserting("def sum(a, b): return a * b\n", {"assert sum(10, 15) == 150"}), Verdict::pass);
  expect(asserting("def len(x): return 3\ndef f(x): return []\n", {"assert len(f(1)) == 3"}),
         Verdict::wrong);
  expect(asserting("def all(x): return True\ndef f(x): return x\n",
                   {"assert all(map(f, [0, 1]))", "assert f(1)"}),
         Verdict::wrong);
}

Request human_eval(const std::string& program, const std::string& check) {
  Request request;
  request.id = "h";
  request.program = program;
  request.entry_point = "double";
  request.check = check;
  return request;
}

TEST_F(Judged, HumanEvalCheck) {
  const std::string check =
      "METADATA = {'author': 'x'}\ndef check(candidate):\n    assert candidate(2) == 4\n"
      "    assert math.isclose(candidate(0.5), 1.0)\n    for i in range(20):\n"
      "        assert helper(candidate(i)) == i\n";
  const std::string helper = "def helper(x): return x // 2\n";
  expect(human_eval(helper + "def double(x): return 2 * x\n", check), Verdict::pass);
  expect(human_eval(helper + "def double(x): return x + 2\n", check), Verdict::wrong);
  expect(human_eval("def double(x): return 2 * x\n", check), Verdict::no_entry, "helper");
  expect(human_eval("def double(x): return 2 * x\n", "def check(candidate:\n"), Verdict::infra,
         "does not compile");
  expect(human_eval("def double(x): return 2 * x\n", "checked = 1\n"), Verdict::infra,
         "no function check");
}

TEST_F(Judged, AnAnswerThatCannotBeRepeated) {
  const std::string check =
      "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(5) == 10\n";
  expect(human_eval("answers = iter([2, 10] * 9)\ndef double(x): return next(answers)\n", check),
         Verdict::wrong, "asked again");
  // Another answer is no fault where the tests hold with it, too.
  expect(human_eval("import random\ndef double(x): return random.random()\n",
                    "def check(candidate):\n    assert 0 <= candidate(1) < 1\n"),
         Verdict::pass);
}

TEST_F(Judged, LeetCodeMethodsAndNodes) {
  auto asked = request(
      "class Solution:\n"
      "    def reverse(self, head: Optional[ListNode]) -> Optional[ListNode]:\n"
      "        last = None\n        while head:\n            head.next, last, head = last, head, "
      "head.next\n"
      "        return last\n"
      "    def depth(self, root: 'TreeNode') -> int:\n"
      "        return 0 if root is None else 1 + max(self.depth(root.left), "
      "self.depth(root.right))\n"
      "    def same(self, root: 'TreeNode') -> 'TreeNode':\n        return root\n");
  asked.setup = "from typing import Optional, List\n";
  asked.entry_point = "Solution().reverse";
  asked.tests = Json::array({{{"args", {{1, 2, 3}}}, {"expected", {3, 2, 1}}}}).dump();
  expect(asked, Verdict::pass);
  asked.entry_point = "Solution().depth";
  asked.tests =
      Json::array({{{"args", {{3, 9, 20, nullptr, nullptr, 15}}}, {"expected", 3}}}).dump();
  expect(asked, Verdict::pass);
  asked.entry_point = "Solution().same";
  asked.tests =
      Json::array({{{"args", {{3, nullptr, 20, 15}}}, {"expected", {3, nullptr, 20, 15}}}}).dump();
  expect(asked, Verdict::pass);
  asked.entry_point = "Solution().missing";
  expect(asked, Verdict::no_entry, "missing");
  // As assert lines, with helpers and classes from set-up that both sides have.
  auto lines = asserting(
      asked.program, {"assert values(Solution().reverse(make([1, 2, 3]))) == [3, 2, 1]"},
      "from typing import Optional\nclass ListNode:\n    def __init__(self, val=0, next=None):\n"
      "        self.val = val\n        self.next = next\n"
      "def make(x):\n    return ListNode(x[0], make(x[1:])) if x else None\n"
      "def values(n):\n    return [n.val] + values(n.next) if n else []\n");
  expect(lines, Verdict::pass);
}

TEST_F(Judged, OddSources) {
  expect(request(std::string("def f(x): return x + 1\n\0", 24)), Verdict::syntax);
  expect(request("\xff\xfe"), Verdict::syntax, "UTF-8");
  expect(request(std::string(100'000, '[')), Verdict::syntax);
  expect(request("x = '''" + std::string(10 << 20, 'a') + "'''\ndef f(x): return x + 1\n"),
         Verdict::pass);
  expect(request(""), Verdict::no_entry);
  expect(testing_one("def f(x): return x\n", "(open,)", "1"), Verdict::infra, "args_py");
}

// What ordinary programs do, and walls or pipes might forbid.
TEST_F(Judged, OrdinaryProgramsPass) {
  const std::string f = "def f(x): return x + 1\n";
  for (const auto& program : {
           // As deep as in an interpreter of its own, and deeper where it asks for it.
           "def g(n): return 0 if n == 0 else 1 + g(n - 1)\nassert g(994) == 994\n" + f,
           "import sys\nsys.setrecursionlimit(10000)\n"
           "def g(n): return 0 if n == 0 else 1 + g(n - 1)\nassert g(5000) == 5000\n" +
               f,
           "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 27)\n"
           "def g(n): return 0 if n == 0 else 1 + g(n - 1)\n"
           "t = threading.Thread(target=g, args=(50000,))\nt.start()\nt.join()\n" +
               f,
           std::string("import asyncio\nasync def g(x):\n    await asyncio.sleep(0.001)\n"
                       "    return x + 1\ndef f(x): return asyncio.run(g(x))\n"),
           std::string("from concurrent.futures import ThreadPoolExecutor\ndef f(x):\n"
                       "    with ThreadPoolExecutor(4) as p: return sum(p.map(abs, [x, 1]))\n"),
           std::string("import multiprocessing as mp\ndef f(x):\n    a, b = mp.Pipe()\n"
                       "    p = mp.Process(target=lambda: b.send(x + 1))\n    p.start()\n"
                       "    r = a.recv()\n    p.join()\n    return r\n"),
           std::string("from __future__ import annotations\nfrom dataclasses import dataclass\n"
                       "import pickle\n@dataclass\nclass P:\n    a: int\n"
                       "def f(x): return pickle.loads(pickle.dumps(P(x))).a + 1\n"),
           "import subprocess\nsubprocess.run(['/usr/bin/true'], check=True)\n" + f,
           "import sys, io\nsys.stdout = io.StringIO()\nprint('x')\n" + f,
           "import sys\nsys.stdout.close()\n" + f,
           "import builtins\ndel builtins.isinstance, builtins.len\n" + f,
       })
    expect(request(program), Verdict::pass);
}

TEST_F(Judged, LargeResults) {
  expect(testing_one("def f(x): return [[i, str(i)] for i in range(200_000)][x:]\n", "(199_999,)",
                     "[[199_999, '199999']]"),
         Verdict::pass);
  expect(asserting("def f(n): return [[i] for i in range(n)]\n",
                   {"assert len(f(300_000)) == 300_000", "assert f(2) == [[0], [1]]"}),
         Verdict::pass);
}

TEST_F(Judged, GeneratorsAndFunctionsOfTheTests) {
  expect(asserting("def f(n):\n    while True:\n        yield n\n        n += 1\n",
                   {"g = f(3)\nassert next(g) == 3\nassert next(g) == 4"}),
         Verdict::pass);
  expect(asserting("def f(n): yield from range(n)\n",
                   {"assert list(f(3)) == [0, 1, 2]", "assert sorted(f(3)) == [0, 1, 2]",
                    "assert tuple(f(0)) == ()", "assert sum(f(3)) == 3"}),
         Verdict::pass);
  expect(asserting("def f(g, x): return g(x)\n", {"assert f(len, 'ab') == 2"}), Verdict::pass);
  // An exception that ends loops must not end the test's.
  expect(
      asserting("def f(x): raise StopIteration\n", {"assert all(y > 0 for y in map(f, range(3)))"}),
      Verdict::error, "StopIteration");
}

TEST_F(Judged, AnObservedProgramGetsFactsAndNeverPass) {
  Request asked;
  asked.id = "o";
  asked.program =
      "class Solution:\n    valid = True\n"
      "def run_tests():\n    print('all tests passed')\n    open('result.txt', "
      "'w').write('PASS')\n";
  asked.observe =
      Observation{"run_tests()", "all tests passed", "result.txt", "PASS", "Solution().valid"};
  auto record = judge(asked);
  EXPECT_EQ(record.verdict, Verdict::no_verdict);
  EXPECT_EQ(record.facts["claimed"]["call_returned"], true);
  EXPECT_EQ(record.facts["claimed"]["attribute"], true);
  EXPECT_EQ(record.facts["stdout_marker"], true);
  EXPECT_EQ(record.facts["file_written"], true);
  EXPECT_EQ(record.facts["exit_code"], 0);
  asked.program = "import sys\ndef run_tests():\n    assert False, 'no'\n";
  record = judge(asked);
  EXPECT_EQ(record.verdict, Verdict::no_verdict);
  EXPECT_EQ(record.facts["claimed"]["call_returned"], false);
  EXPECT_THAT(record.facts["claimed"]["call_exception"].get<std::string>(),
              HasSubstr("AssertionError"));
  EXPECT_EQ(record.facts["exit_code"], 1);
  EXPECT_EQ(record.facts["file_written"], false);
  // Facts that are no text or number of JSON's.
  asked.program = "class Solution:\n    valid = float('nan')\nraise ValueError('\\ud800')\n";
  record = judge(asked);
  EXPECT_THAT(record.facts["claimed"]["exception"].get<std::string>(),
              HasSubstr("ValueError: \\ud800"));
  asked.program = "class Solution:\n    valid = float('nan')\ndef run_tests(): pass\n";
  EXPECT_EQ(judge(asked).facts["claimed"]["attribute"], "nan");
  asked.program = "import os\nprint('all tests passed', flush=True)\nos._exit(0)\n";
  record = judge(asked);
  EXPECT_EQ(record.verdict, Verdict::no_verdict);
  EXPECT_EQ(record.facts["exit_code"], 0);
  EXPECT_EQ(record.facts["stdout_marker"], true);
  EXPECT_TRUE(record.facts["claimed"].is_null());
}

// What can be seen from outside is: a program that has taken over its own process changes none of
// it.
TEST_F(Judged, FactsSeenFromOutsideCannotBeForged) {
  const auto file_written = [](const std::string& program, const std::string& file = "result.txt") {
    Request asked;
    asked.id = "o";
    asked.program = program;
    asked.observe = Observation{.file = file, .file_marker = "PASS"};
    const auto facts = judge(asked).facts;
    return facts.is_null() ? Json("none") : facts.at("file_written");
  };
  const std::string takes_over =
      "import sys\nframe = sys._getframe()\nwhile frame:\n"
      "    for name in ('holds', 'observe', 'open'):\n"
      "        if name in frame.f_globals: frame.f_globals[name] = lambda *a: True\n"
      "    frame = frame.f_back\n";
  EXPECT_EQ(file_written(takes_over), false);
  EXPECT_EQ(file_written("import os\nos.symlink(os.__file__, 'result.txt')\n"), false);
  EXPECT_EQ(file_written("import os\nos.symlink('/dev/zero', 'result.txt')\n"), false);
  EXPECT_EQ(file_written("import os\nos.mkfifo('result.txt')\n"), false);
  EXPECT_EQ(file_written("import os\nos.mkdir('result.txt')\n"), false);
  EXPECT_EQ(file_written("open('result.txt', 'w').truncate(30 << 20)\n"), false);
  EXPECT_EQ(file_written("import os\nos.makedirs('a')\nopen('a/b', 'w').write('PASS')\n"
                         "os.symlink('a', 'c')\n",
                         "c/b"),
            false);
  EXPECT_EQ(file_written("pass\n", "../python/lib/python3.11/os.py"), false);
  // Written is written, whatever became of the program and of the rights.
  EXPECT_EQ(file_written("import os\nopen('result.txt', 'w').write('x' * 70_000 + 'PASS')\n"
                         "os.chmod('result.txt', 0)\nos._exit(3)\n"),
            true);
  EXPECT_EQ(file_written("import os\nos.makedirs('a')\nopen('/tmp/a/b', 'w').write('PASS')\n",
                         "/tmp/a/b"),
            true);
  // Ended by its limits: nothing is said of an end that was not its own.
  EXPECT_EQ(file_written("open('result.txt', 'w').write('PASS')\nwhile True: pass\n"), "none");
}

// They travel to the slot's own process in one packet.
TEST_F(Judged, AnObservedFileAndItsMarkerAreShort) {
  Request asked;
  asked.program = "open('f', 'w').write('x' * 4096)\n";
  asked.observe = Observation{.file = "f", .file_marker = std::string(4096, 'x')};
  EXPECT_EQ(judge(asked).facts.at("file_written"), true);
  asked.observe->file_marker += "x";
  EXPECT_THROW(judge(asked), base::Error);
}

// Seen by its state, not by the clock; a loop that ends, or that counts, is not taken for one.
TEST_F(Judged, ALoopThatComesBackToItsStateIsProvedToBeEndless) {
  const auto record = judge(request("def g(x): return x\ndef f(x):\n    while g(x) == x: pass\n"));
  EXPECT_EQ(record.verdict, Verdict::timeout);
  if (record.runs == 1) {
    EXPECT_THAT(record.detail, HasSubstr("comes back to the state"));
  }
  expect(
      request("def f(x):\n    t = 0\n    for i in range(3_000_000): t = i & 1\n    return x + 1\n"),
      Verdict::pass);
}

TEST_F(Judged, ProgramsThatSleepHoldNobodyUp) {
  for (int i = 0; i < 12; ++i)
    opened_->pool.submit(request("import time\ntime.sleep(1)\ndef f(x): return x + 1\n"));
  const auto start = std::chrono::steady_clock::now();
  while (opened_->pool.pending()) EXPECT_EQ(opened_->pool.next()->verdict, Verdict::pass);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 9);  // one after the other: 12 s at least
}

TEST_F(Judged, ManyComeBackEachOnce) {
  std::vector<Request> requests;
  for (int i = 0; i < 200; ++i) {
    requests.push_back(request(i % 2 ? "def f(x): return x + 1\n" : "def f(x): return 0\n"));
    requests.back().id = std::to_string(i);
  }
  const auto records = judge_all(opened_->pool, std::move(requests));
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].verdict, i % 2 ? Verdict::pass : Verdict::wrong) << records[i].detail;
    EXPECT_EQ(records[i].id, std::to_string(i));
  }
}

TEST(Unavailable, NamesWhatIsMissing) {
  auto options = quick_options();
  options.python = "no-such-python";
  try {
    Opened opened(options);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::unavailable);
    EXPECT_THAT(error.what(), HasSubstr("no-such-python"));
    EXPECT_THAT(error.what(), HasSubstr("install it"));
  }
  EXPECT_THROW(start_supervisor("/nowhere/preimage-sandbox"), base::Error);
}

TEST(SelfTest, HoldsAndCalibrates) {
  PoolOptions options;
  options.level = available_level();
  Opened opened(options);
  const auto description = opened.pool.description();
  std::printf("level: %s, cgroup: %s\n", description["level"].get<std::string>().c_str(),
              description["cgroup"].get<std::string>().c_str());
  EXPECT_GE(description["probes"], 12);
  EXPECT_GE(description["calibration"], 1.0);
}

}  // namespace
}  // namespace preimage::sandbox::tests
