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

// What a program is watched for when its grader may be its own. Facts, never PASS.
struct Observation {
  std::string call;           // evaluated after the program, as "run_tests()"; "": nothing
  std::string stdout_marker;  // text to be found in what it prints
  std::string file;           // to be found in its working folder
  std::string file_marker;    // text to be found in that file
  std::string attribute;  // evaluated after the call, as "Solution().valid"; reported if plain data
};

// Exactly one of tests, assert_tests, check and observe.
struct Request {
  std::string id;
  std::string program;      // Python source
  std::string entry_point;  // "f" or "Class().method"; may be "" where assert_tests name their own
  // Runs before the program, or after it where it needs names of the program (MBPP 367, 927). What
  // it defines, the judge defines too: a program cannot replace it.
  std::string setup;
  // [{"args": [...] | "args_py": "...", "expected": ... | "expected_py": "...", "tol": 0}]
  base::Json tests = nullptr;
  std::vector<std::string> assert_tests;  // "assert f(1) == 2"
  std::string check;                      // HumanEval: defines check(candidate)
  std::optional<Observation> observe;
  // Decides the order in which tests are asked and which calls are repeated.
  uint64_t seed = 0;
};

struct Record {
  uint64_t ticket = 0;  // of Judge::submit
  std::string id;
  Verdict verdict = Verdict::infra;
  std::string detail;     // what happened, one line of UTF-8: "test 2: found 3, expected 4"
  double cpu_s = 0;       // user and system time of the program, its processes included
  double wall_s = 0;      // from its start to its end
  double max_rss_mb = 0;  // the largest process
  int runs = 1;           // 2: a time-out was run once more alone; more: the sandbox failed
  // What the first run said, where a second one decided; else verdict.
  Verdict first_verdict = Verdict::infra;
  std::string output;          // the last bytes of standard output and error, as they came
  base::Json facts = nullptr;  // of an observed program
};

// One object of `preimage judge --in`; `place` starts every message. Throws ExitCode::bad_data.
Request parse_request(const base::Json& line, const std::string& place);
// {"id", "verdict", "detail", "cpu_s", "wall_s", "max_rss_mb", ...}, text escaped where it is not
// UTF-8.
base::Json to_json(const Record& record);

}  // namespace preimage::sandbox
