// A program that nobody trusts, what to find out about it, and what was found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "preimage/base/json.hpp"

namespace preimage::sandbox {

enum class Verdict {
  pass,        // every test held; said by the judge process and nobody else
  wrong,       // a test did not hold
  error,       // the program raised an exception
  syntax,      // the program does not compile
  timeout,     // out of CPU or wall time, or of its share of processes
  memory,      // out of memory
  output,      // wrote more than it may
  crash,       // ended by a fault: SIGSEGV, SIGABRT, SIGSYS ...
  bad_value,   // a result is not plain data
  no_entry,    // the entry point is not there
  no_verdict,  // ended before the judge had its answer; observed programs, which nobody judges
  infra,       // our fault: retried, never scored
};
std::string_view name(Verdict verdict);  // "PASS", "BAD_VALUE"
std::optional<Verdict> verdict_named(std::string_view name);

// What a program is watched for when its grader may be its own. Facts, never PASS. What it prints,
// the file and how it ends are seen from outside; what became of the call and the attribute only
// the program can say, and so it stands under "claimed".
struct Observation {
  std::string call;           // evaluated after the program, as "run_tests()"; "": nothing
  std::string stdout_marker;  // text to be found in what it prints
  std::string file;           // a regular file in its working folder when it has ended
  std::string file_marker;    // text to be found in that file
  std::string attribute;  // evaluated after the call, as "Solution().valid"; reported if plain data
};

// Exactly one of tests, assert_tests, check and observe.
struct Request {
  std::string id;
  std::string program;      // Python source
  std::string entry_point;  // "f" or "Class().method"; may be "" where assert_tests name their own
  // Runs in the judge, and may ask the program (MBPP 367, 927). What it defines is the tests' own:
  // a program neither sees nor replaces it. The program gets its imports, its exception classes,
  // ListNode, TreeNode and float("inf") constants (worker/survey.py: program_part); of an observed
  // program, which has no judge, all of it runs before the program.
  std::string setup;
  std::string setup_for_program;  // runs before the program, and is the program's
  // [{"args": [...] | "args_py": "...", "expected": ... | "expected_py": "...", "kwargs": {...},
  // "tol": 0}], as JSON text: integers of any size, and keys in their order. "": none.
  std::string tests;
  std::vector<std::string> assert_tests;  // "assert f(1) == 2"
  std::string check;                      // HumanEval: defines check(candidate)
  std::optional<Observation> observe;
  bool strict = false;  // equal means of equal types throughout: 1 is not True, nor 1.0
  bool ordered =
      false;  // each test builds on those before it: no shuffling, nothing is asked again
  // Decides the order in which tests are asked and which calls are repeated.
  uint64_t seed = 0;
};

struct Record {
  uint64_t ticket = 0;  // of Judge::submit
  std::string id;
  Verdict verdict = Verdict::infra;
  std::string detail;     // what happened, one line of UTF-8: "test 2: found 3, expected 4"
  double cpu_s = 0;       // user and system time of the program and all that it started
  double wall_s = 0;      // from its start to its verdict by the clock, less waited_s
  double waited_s = 0;    // for which others on this host kept it or its judge from computing
  double max_rss_mb = 0;  // the largest process
  int runs = 1;           // 2: a time-out was run once more alone; more: the sandbox failed
  // What the first run said, where a second one decided; else verdict.
  Verdict first_verdict = Verdict::infra;
  std::string output;          // the last bytes of standard output and error, as they came
  base::Json facts = nullptr;  // of an observed program
};

// One object of `preimage judge --in`. `tests` is the text of its member of that name, "" if it has
// none; `place` starts every message. Throws ExitCode::bad_data.
Request parse_request(const base::Json& line, std::string_view tests, const std::string& place);
// {"id", "verdict", "detail", "cpu_s", "wall_s", "max_rss_mb", ...}, text escaped where it is not
// UTF-8.
base::Json to_json(const Record& record);

}  // namespace preimage::sandbox
