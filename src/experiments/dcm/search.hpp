// The stages of a dcm run as waves of units: baselines, single targets, joint pairs in the chunks
// that the gates look at, the K sweep, paraphrases.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "baselines.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/search.hpp"
#include "setup.hpp"
#include "summary.hpp"

namespace preimage::dcm {

class DcmSearch : public run::Search {
 public:
  DcmSearch(run::Context& context, std::shared_ptr<const Setup> setup);

  std::vector<run::Unit> ask(int64_t wave) override;
  void evaluate(run::Work& work) override;
  void tell(const std::vector<run::Told>& results) override;
  store::UnitOutput finish() override;
  store::Schemas schemas() const override;

 private:
  struct Phase {
    std::string stage;           // "" ends the search
    int64_t begin = 0, end = 0;  // pairs
    int64_t k = 0;
  };
  struct Gate {
    std::string stage;
    GateResult result;
    std::string taken;
  };
  using Key = std::pair<std::string, int64_t>;  // stage, K

  Phase after(const Phase& phase);
  Phase after_joint(const Phase& phase);
  Phase next_k(int64_t after);
  bool enforced_stop(const GateResult& result);
  void evaluate_baselines(run::Work& work);
  std::vector<PairSummary> told_pairs(const std::string& stage, int64_t k) const;
  std::vector<JointOutcome> outcomes(const std::string& stage, int64_t k) const;
  void add_gates(store::UnitOutput& out) const;
  void add_sweep(store::UnitOutput& out) const;

  run::Context& context_;
  std::shared_ptr<const Setup> setup_;
  std::vector<Phase> phases_;  // by wave
  std::vector<Baselines> baselines_;
  std::map<int64_t, SingleOutcome> singles_;             // by pair
  std::map<Key, std::map<int64_t, PairSummary>> pairs_;  // by stage and K, by pair
  std::vector<Gate> gates_;                              // those that acted on the run
  bool paraphrase_due_ = false;
};

}  // namespace preimage::dcm
