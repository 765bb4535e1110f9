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
  // A prompt whose answer and whose own loss are on the way.
  struct Pending {
    run::Unit unit;
    std::optional<eval::Evaluation> answer, prompt;
  };
  struct Matcher {
    text::SequenceMatcher ids;
    const Target* target;
  };

  void open(const std::vector<TargetFacts>& facts);
  void submit(const run::Unit& unit, const std::vector<TargetFacts>& facts);
  void take_result(eval::Evaluated done, run::Work& work);
  store::UnitOutput evaluated(const Pending& pending) const;
  base::Json score(const eval::PromptRequest& request, const eval::Answer& answer) const;

  store::UnitOutput target(const run::Unit& unit) const;
  store::UnitOutput gradient(const run::Unit& unit) const;
  store::UnitOutput propose(const run::Unit& unit) const;
  store::UnitOutput repeat(const run::Unit& unit) const;
  std::optional<store::UnitOutput> alone(const run::Unit& unit) const;

  const Setup& setup_;
  std::map<std::string, Matcher> matchers_;  // by target id
  std::unique_ptr<eval::CodeJudge> judge_;
  std::unique_ptr<eval::PromptEvaluator> evaluator_;
  std::map<int64_t, std::shared_ptr<Pending>> by_ticket_;
};

// The ids of a target's answer as one value: equal for equal answers.
std::string ids_hash(const std::vector<int64_t>& ids);

}  // namespace preimage::ips
