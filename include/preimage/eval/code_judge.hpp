// Whether the program in an answer is the target: exactly, as a syntax tree, or in what it does.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "preimage/eval/prompt_evaluator.hpp"
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
};

struct CodeTarget {
  std::string id;
  Language language = Language::python;
  std::string code;           // in normal form (text::normal_code)
  std::string entry_point;    // "" : the last function that the code defines
  std::vector<Probe> probes;  // of make_probes; fewer than three: none
};

struct ProbeOptions {
  int64_t most = 8;   // probes kept
  int64_t least = 3;  // with fewer, or with none that a stub fails, the target has no probes
  std::vector<std::string> calls;  // tried first: "f(3)"; then calls made up from the signature
};

// Probes of each Python target, made by running it in the sandbox on fixed arguments, twice, in
// processes of their own: calls whose outcomes differ, are no plain data or take longer than a
// second are dropped, and so is a target that names the clock, the network, files or random numbers
// (the walls would show the same answer each time). At least `least` probes, one of which a
// function that returns None fails; else none. One request for each target and run.
void make_probes(sandbox::Judge& judge, std::vector<CodeTarget>& targets,
                 const ProbeOptions& options);

// Two programs of the same language in all that a tokenizer sees: comments and strings as they
// stand, layout between tokens left out (line breaks kept in JavaScript, whose grammar reads them).
// Weaker than a syntax tree.
bool tokens_equal(Language language, const std::string& a, const std::string& b);

struct CodeJudgeOptions {
  int64_t forms = 32;        // programs whose trees are made in one request
  double patience_s = 0.05;  // that an unfull request of trees waits for more
};

// The terms, added to those of an answer, of answers whose PromptRequest::target is a target's id:
//   "exact" (bool)      L0: normal forms are equal
//   "ast" (bool)        L1: Python's trees without positions, comments, docstrings and kinds of
//                       strings are equal; of other languages null
//   "ast_renamed" (bool)  L2: likewise after local names are numbered by first occurrence
//   "tok_eq" (bool)     tokens_equal; null of Python
//   "parses" (bool)     of Python
//   "exec"              probes passed / probes, by the split judge; null without probes
// Answers of equal programs for one target are judged once.
class CodeJudge : public AnswerJudge {
 public:
  // `judge` must outlive it and may serve nobody else meanwhile. Targets are in normal form, with
  // their probes.
  CodeJudge(sandbox::Judge& judge, std::vector<CodeTarget> targets,
            const CodeJudgeOptions& options = {});
  ~CodeJudge() override;

  void submit(int64_t ticket, const PromptRequest& request, const Answer& answer) override;
  std::optional<std::pair<int64_t, base::Json>> next(double timeout_s) override;
  int64_t pending() const override;
  const CodeTarget& target(const std::string& id) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace preimage::eval
