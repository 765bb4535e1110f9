// The stages of a dcm run as waves of units. Where gates may stop the run: baselines, single
// targets, joint pairs in the chunks that the gates look at, the K sweep, paraphrases. Where they
// only record: baselines, then all the rest in one wave, so that no worker waits at the end of a
// stage.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "baselines.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/search.hpp"
#include "report/summary.hpp"
#include "setup.hpp"

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
  struct Part {
    std::string stage;
    int64_t begin = 0, end = 0;  // pairs
    int64_t k = 0;
  };
  using Wave = std::vector<Part>;  // an empty one ends the search
  struct Gate {
    std::string stage;
    GateResult result;
    std::string taken;
  };
  using Key = std::pair<std::string, int64_t>;  // stage, K

  Wave wave_after(const Wave& wave);
  Wave gated_wave_after(const Part& part);
  Wave wave_after_joint(const Part& joint);
  Wave rest_after(int64_t joint_pairs) const;
  Wave sweep_and_paraphrases() const;
  void tell_unit(const run::Told& told);
  GateResult single_gate() const;
  // Whether a gate that came out so ends the run.
  bool stops_run(const GateResult& result) const;
  void record_gate(const std::string& stage, const GateResult& result);
  void evaluate_baselines(run::Work& work);
  std::vector<PairSummary> told_pairs(const std::string& stage, int64_t k) const;
  std::vector<JointOutcome> outcomes(const std::string& stage, int64_t k) const;
  void add_gates(store::UnitOutput& out) const;
  void add_sweep(store::UnitOutput& out) const;

  run::Context& context_;
  std::shared_ptr<const Setup> setup_;
  std::vector<Wave> waves_;
  std::vector<Baselines> baselines_;
  std::map<int64_t, SingleOutcome> singles_;             // by pair
  std::map<Key, std::map<int64_t, PairSummary>> pairs_;  // by stage and K, by pair
  std::vector<Gate> gates_;                              // those that acted on the run
  bool gated_viable_ = false;                            // the gates after g3_pairs were looked at
  bool deployed_ = false;                                // ... and ran stage paraphrase
  bool failed_ = false;                                  // G3 failed: the run ends
};

}  // namespace preimage::dcm
