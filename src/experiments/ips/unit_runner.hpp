// How a worker computes units: prompts stream through the evaluator, while targets, gradients,
// proposals and repeats are computed one after another.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "preimage/eval/code_judge.hpp"
#include "preimage/eval/prompt_evaluator.hpp"
#include "preimage/run/search.hpp"
#include "preimage/text/similarity.hpp"
#include "setup.hpp"
#include "units.hpp"

namespace preimage::ips {

class UnitRunner {
 public:
  // `setup` must outlive it.
  explicit UnitRunner(const Setup& setup);
  // Takes units as long as there are any. `facts` of every target are known to all waves but the
  // first.
  void run(run::Work& work, const std::vector<TargetFacts>& facts);

 private:
  // A prompt whose answer, or the target's loss alone, and whose own loss are on the way.
  struct Pending {
    run::Unit unit;
    std::optional<eval::Evaluation> answer, prompt;
  };
  struct Ticket {
    std::shared_ptr<Pending> pending;
    bool own = false;  // of the prompt's own loss
  };
  struct Matcher {
    text::SequenceMatcher ids;
    const Target* target;
  };

  void open(const std::vector<TargetFacts>& facts);
  void submit(const run::Unit& unit, const std::vector<TargetFacts>& facts);
  void take_result(eval::Evaluated done, run::Work& work);
  store::UnitOutput evaluated(const Pending& pending) const;
  void take_answer(const Target& target, const eval::Answer& answer, Terms& terms) const;
  void take_prompt(const Target& target, const run::Unit& unit, Terms& terms) const;
  base::Json score(const eval::PromptRequest& request, const eval::Answer& answer) const;

  store::UnitOutput target(const run::Unit& unit) const;
  store::UnitOutput gradient(const run::Unit& unit) const;
  std::vector<int64_t> proposer_input(const Target& target) const;
  // Instructions by the frozen model, or by one that shares its weights.
  base::Json sampled(const run::Unit& unit, const lm::Model& model) const;
  store::UnitOutput propose(const run::Unit& unit) const;
  store::UnitOutput prefer(const run::Unit& unit) const;
  store::UnitOutput repeat(const run::Unit& unit) const;
  std::optional<store::UnitOutput> alone(const run::Unit& unit) const;

  const Setup& setup_;
  std::map<std::string, Matcher> matchers_;  // by target id
  std::unique_ptr<eval::CodeJudge> judge_;
  std::unique_ptr<eval::PromptEvaluator> evaluator_;
  std::map<int64_t, Ticket> by_ticket_;
};

// The ids of a target's answer as one value: equal for equal answers.
std::string ids_hash(const std::vector<int64_t>& ids);

}  // namespace preimage::ips
