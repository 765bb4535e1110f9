// Programming problems with tests: MBPP (full and sanitized), HumanEval and LeetCode-style sets in
// their published formats, as one list.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace preimage::data {

// How a problem's tests are written.
enum class TestForm {
  assertions,      // one assert statement each (MBPP, LeetCode)
  check_function,  // code that defines check(candidate) (HumanEval)
};

// A program is tried as: setup_before, the program, setup_after, then the tests. Line ends are
// "\n" throughout, whatever the file had; everything else is as published.
struct ProgramProblem {
  std::string id;           // as published: "601", "HumanEval/0", "3243"; unique within a set
  std::string split;        // "train", "validation", "test", "prompt" (few-shot examples)
  std::string group;        // what problems share: family, source, difficulty; "" if nothing
  std::string text;         // the task in words; HumanEval: signature and docstring
  std::string starter;      // what a completion continues (HumanEval), or is given
                            // to fill in (LeetCode); else ""
  std::string entry_point;  // "f" or "Solution().f"
  std::string setup_before, setup_after;  // "" if none
  TestForm form = TestForm::assertions;
  std::vector<std::string> tests;         // assert statements that a prompt may show
  std::vector<std::string> hidden_tests;  // further ones that it may not
  std::string check_code;                 // check_function: the code that defines check()
  std::string reference;                  // a whole program that should pass
  std::string place;                      // "FILE:12", for messages
};

struct ProgramsOptions {
  std::string kind;            // one of program_kinds()
  std::filesystem::path path;  // JSON Lines; mbpp_sanitized: a JSON array
  std::string split = "test";  // of every problem, for the kinds that publish none (leetcode)
};

// Reads the whole file. ExitCode::bad_data with file and line (mbpp_sanitized: index), key, what
// was found and what is expected, for malformed records, missing or empty fields, ids outside the
// published ranges, duplicate ids, tests that are no assert statements or that name no entry point,
// and files without a problem; ExitCode::bad_config for an unknown kind. Keys that the format does
// not have are passed over, except "kind" in mbpp, which becomes the group and makes
// challenge_test_list hidden tests; in published rows, without one, results do not count that list.
std::vector<ProgramProblem> read_programs(const ProgramsOptions& options);

// "humaneval", "leetcode", "mbpp", "mbpp_sanitized".
std::vector<std::string> program_kinds();

// The split that MBPP publishes by task id: 1-10 prompt, 11-510 test, 511-600 validation,
// 601-974 train; "" for any other. The sanitized set has the same ranges with fewer ids.
std::string mbpp_split(int64_t task_id);

// The function that an assert statement tries: the first name called in it that `program` defines
// with "def" at the left margin. "" when there is none.
std::string entry_point_of(const std::string& assertion, const std::string& program);

// Number of problems of each split, for the log and to compare with what is published: mbpp
// prompt 10, test 500, validation 90, train 374; mbpp_sanitized 7, 257, 43, 120; humaneval test
// 164.
std::map<std::string, int64_t> count_splits(const std::vector<ProgramProblem>& problems);

// Two problems of different splits whose texts are nearly the same.
struct Leak {
  size_t first, second;  // indices, first < second
  double jaccard;        // of the sets of word trigrams; 1 for texts that normalise to the same
};

// All pairs across splits whose normalised texts (lower case, runs of letters and digits) are equal
// or have a trigram Jaccard index above `limit`. Ordered by index.
std::vector<Leak> find_leaks(const std::vector<ProgramProblem>& problems, double limit = 0.8);

// `pattern` with {text}, {tests} (one a line), {starter} and {entry_point} filled in; other braces
// stay. Fields are not looked for inside what was filled in. `shown` limits the tests, -1: all.
std::string fill_prompt(const std::string& pattern, const ProgramProblem& problem,
                        int64_t shown = -1);

}  // namespace preimage::data
