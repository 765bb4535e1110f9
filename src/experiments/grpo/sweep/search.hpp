// The sweep as a search: runs are units, dealt seed-major; early ends are decided at wave ends.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "preimage/run/context.hpp"
#include "preimage/run/search.hpp"
#include "sweep/chain.hpp"
#include "sweep/config.hpp"
#include "sweep/verdicts.hpp"

namespace preimage::grpo {

// What a rank needs to compute runs; made when it has its first.
struct SweepMachine {
  std::shared_ptr<const lm::Model> base;
  lm::LiveAdapter adapter;
  SweepDirections directions;
  std::shared_ptr<RewardSource> source;
  lm::GeneratorOptions generator;
  std::vector<int64_t> stop_ids;
};

class SweepSearch : public run::Search {
 public:
  SweepSearch(run::Context& context, const SweepConfig& config,
              std::function<SweepMachine()> machine)
      : context_(context), config_(config), make_machine_(std::move(machine)) {}

  // Wave 0: the first two arms on the first two seeds; 1: on the others; 2: the further arms.
  // Without early ends all at once.
  std::vector<run::Unit> ask(int64_t wave) override;
  // Where a wave has fewer open runs than there are ranks, ranks share them: each run is gone
  // through by a group of ranks together, to its state on disk, and evaluate() only commits it.
  // Inside a job's sweep, whose combinations have units for all, ranks stay alone.
  void prepare(int64_t wave) override;
  void evaluate(run::Work& work) override;
  void tell(const std::vector<run::Told>& results) override;
  store::UnitOutput finish() override;
  store::Schemas schemas() const override;

 private:
  std::vector<run::Unit> units_of(size_t first_arm, size_t end_arm, size_t first_seed,
                                  size_t end_seed) const;
  bool ended_early(int64_t wave) const;
  SweepResult run_chain(const run::Unit& unit, const cluster::Communicator& ranks,
                        const std::function<bool()>& stopping);
  // Nothing: the run is stopping.
  bool compute(const run::Unit& unit, run::Work& work);

  run::Context& context_;
  const SweepConfig& config_;
  std::function<SweepMachine()> make_machine_;
  std::unique_ptr<SweepMachine> machine_;
  RunEnds ends_;
};

}  // namespace preimage::grpo
