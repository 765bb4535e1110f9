// A program to be elicited, and calls that show what it does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/sandbox/judge.hpp"

namespace preimage::eval {

enum class Language { python, javascript, rust };
// "python", ...; throws ExitCode::bad_data for another word.
Language parse_language(const std::string& word);

// A call of the target and what it gave: value or exception, as Python text.
struct Probe {
  std::string call;      // "f(3, [1, 2])"
  std::string expected;  // a literal: "[2, 3]"; "" where it raised
  std::string raised;    // the exception's class: "ValueError"; "" where it did not
  friend bool operator==(const Probe&, const Probe&) = default;
};

struct CodeTarget {
  std::string id;
  Language language = Language::python;
  std::string code;           // lines in normal form (text::normal_lines)
  std::string entry_point;    // a function's name; "": the last that the code defines
  std::vector<Probe> probes;  // of make_probes
};

struct ProbeOptions {
  int64_t most = 8;                // probes kept
  int64_t least = 3;               // with fewer the target has none
  std::vector<std::string> calls;  // known ones, "f(3)": tried before made-up ones
  int64_t tried = 96;              // made-up ones
};

// Gives each Python target its probes, by running it in the sandbox on `calls` and on arguments
// made up from a fixed list of values, twice, each time in a process of its own. Dropped are calls
// whose two outcomes differ, are no plain data, run more than 200,000 lines (a count and no clock,
// so that every process finds the same probes), or fail as any argument of the wrong type does; and
// targets that import what reads the clock, chance, files or the network. Kept are outcomes that
// differ from each other first, a quarter of them exceptions where there are any. A target has at
// least `least` probes, one of which a function that returns None fails; or none. Also sets entry
// points that are "". Waits for the sandbox: three requests for each target.
void make_probes(sandbox::Judge& judge, std::vector<CodeTarget>& targets,
                 const ProbeOptions& options = {});

// A request whose verdict says whether `program` holds the probes [first, first + count).
sandbox::Request probe_request(const CodeTarget& target, const std::string& program, size_t first,
                               size_t count);

}  // namespace preimage::eval
