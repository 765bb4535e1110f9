// Prompts in, scored answers out: while the model writes the next answers, threads and the sandbox
// score the last.
//
//   PromptEvaluator evaluator({model, identity, scorer, &judge}, options);
//   while (evaluator.room() > 0) evaluator.submit(request);      // at any time
//   while (auto done = evaluator.next()) ...                     // in the order of the requests
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "preimage/eval/evaluation.hpp"
#include "preimage/eval/text_model.hpp"

namespace preimage::eval {

// The terms of an answer (text similarities, an extracted number and whether it is right): a JSON
// object. Runs on the evaluator's threads, several at once; a pure function of its arguments.
// What it throws, next() throws.
using Scorer = std::function<base::Json(const PromptRequest&, const Answer&)>;

// Scoring that waits for somebody else: the sandbox. Of the evaluator's thread.
class AnswerJudge {
 public:
  virtual ~AnswerJudge() = default;
  // Returns at once; tickets count from 1. `answer` has its terms already; neither it nor the
  // request outlives the call.
  virtual int64_t submit(const PromptRequest& request, const Answer& answer) = 0;
  // Terms to be added to those of the answer with that ticket, in any order; waits up to
  // `timeout_s` (0: only looks).
  virtual std::optional<std::pair<int64_t, base::Json>> next(double timeout_s) = 0;
  virtual int64_t pending() const = 0;
};

struct PromptEvaluatorOptions {
  int64_t batch = 64;   // answers written at once
  int64_t longest = 0;  // tokens of prompt and answer, of any request to come
  int64_t prefill_tokens = 4096;
  int64_t nll_tokens = 4096;  // tokens put through the model at once for losses
  int threads = 1;            // that score
  bool margins = false;       // Answer::margin
  bool in_order = true;       // false: next() gives results as they end
};

struct PromptEvaluatorParts {
  const TextModel& model;  // all must outlive the evaluator
  ModelIdentity identity;
  Scorer score;                  // empty: no terms
  AnswerJudge* judge = nullptr;  // null: nobody is waited for
};

// A result. `shared`: of a request that was on its way already.
struct Evaluated {
  int64_t ticket = 0;
  Evaluation evaluation;
  bool shared = false;
};

// Of this process: they depend on the number of ranks and on resumes, so no budget is made of them.
struct EvaluationCounts {
  int64_t calls_requested = 0;  // answers that were asked for
  int64_t calls_executed = 0;   // answers that were written
  int64_t calls_shared = 0;     // the difference
  int64_t nll_passes = 0;       // losses that were computed
};

// Of one thread. What a run has evaluated before never comes here: a prompt is a unit of its wave,
// and units that are committed, in the journal, are not computed again by any rank or resumed run.
class PromptEvaluator {
 public:
  PromptEvaluator(PromptEvaluatorParts parts, const PromptEvaluatorOptions& options);
  ~PromptEvaluator();

  // Returns at once; tickets count from 1. A request that is on its way already costs nothing.
  // Throws ExitCode::bad_data for what the model or `longest` cannot hold.
  int64_t submit(PromptRequest request);

  // The next result; in the order of the tickets unless `in_order` is false. An evaluation's bits
  // depend on its request alone. Waits up to `timeout_s` (0: one pass of the model; < 0: as long as
  // it takes). Nothing when the time is over or nothing is pending.
  std::optional<Evaluated> next(double timeout_s = -1);

  int64_t pending() const;  // requests without a result
  // Answers that may be asked for before two batches are waiting to be written and eight requests
  // of each slot to be answered: submit while it is above 0, and the model never runs short.
  int64_t room() const;
  // Forgets all that is pending: a run that stops.
  void cancel();

  const EvaluationCounts& counts() const;
  // Seconds inside the model: against the clock's, the share of time in which it generates.
  double model_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace preimage::eval
