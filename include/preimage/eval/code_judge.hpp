// Whether the program in an answer is the target: exactly, as a syntax tree, or in what it does.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "preimage/eval/code_target.hpp"
#include "preimage/eval/prompt_evaluator.hpp"
#include "preimage/sandbox/judge.hpp"

namespace preimage::eval {

struct CodeJudgeOptions {
  int64_t forms = 32;        // programs whose trees are made in one request
  double patience_s = 0.05;  // that an unfull request of trees waits for more
};

// The terms, added to those of an answer, of answers whose PromptRequest::target is a target's id:
//   "exact" (bool)        L0: normal forms (text::normal_code) are equal
//   "parses" (bool)       null of other languages than Python, as the next three are
//   "ast" (bool)          L1: trees without positions, comments, docstrings and kinds of strings
//                         are equal
//   "ast_renamed" (bool)  L2: likewise after local names are numbered by first occurrence
//   "exec" (number)       probes passed / probes, each by the split judge's verdict; null without
//                         probes and where the sandbox failed
//   "exec_verdict"        of all probes together: "PASS", "WRONG", ...; "" where they were not run
//   "tok_eq" (bool)       text::source_tokens are equal: of JavaScript and Rust, else null
// Of a program that runs out of time, probes are tried one after another, and once two of them hang
// the rest counts as not passed. Equal programs for one target are judged once. Trees are made of
// many programs in one request; a program that takes its fellows down is tried alone.
class CodeJudge : public AnswerJudge {
 public:
  // `judge` must outlive it and may serve nobody else meanwhile. Waits for the trees of the Python
  // targets; throws ExitCode::bad_data for one that does not parse.
  CodeJudge(sandbox::Judge& judge, std::vector<CodeTarget> targets,
            const CodeJudgeOptions& options = {});
  ~CodeJudge() override;

  int64_t submit(const PromptRequest& request, const Answer& answer) override;
  std::optional<std::pair<int64_t, base::Json>> next(double timeout_s) override;
  int64_t pending() const override;
  const CodeTarget& target(const std::string& id) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace preimage::eval
