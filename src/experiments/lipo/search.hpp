// A run of lipo as waves of units: instructions are written, embedded and given a latent space,
// Hyperband evaluates and proposes, then the arms search behind it, and the best of all are tested
// on untouched items.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arms/arm.hpp"
#include "evaluation.hpp"
#include "ladder.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/search.hpp"
#include "report/rows.hpp"
#include "setup.hpp"

namespace preimage::lipo {

// A repetition of an arm: what it did, folded from its rounds.
struct ArmRun {
  std::string name;
  int64_t seed = 0;
  ArmHistory history;
  CallLedger ledger;
  bool ended = false;
  std::string end;  // why: a value of lipo/arms' column
  std::string best_text;
  ArmStep step;  // of the round that is being evaluated
  std::vector<IterationRow> rows;
  std::vector<AskedRow> asked;
};

class LipoSearch : public run::Search {
 public:
  LipoSearch(run::Context& context, std::shared_ptr<const Setup> setup);

  std::vector<run::Unit> ask(int64_t wave) override;
  void prepare(int64_t wave) override;
  void evaluate(run::Work& work) override;
  void tell(const std::vector<run::Told>& results) override;
  store::UnitOutput finish() override;
  store::Schemas schemas() const override { return lipo_schemas(); }

 private:
  enum class Stage { write, latent, propose, evaluate, arms, arm_evaluate, test, done };

  std::vector<run::Unit> units() const;
  // What follows when the stage has no unit left.
  void advance();
  void take_instructions(std::vector<Instruction> instructions);
  void begin_arms();
  void begin_test();
  void finish_round(ArmRun& arm);
  void fit_to_budget(ArmRun& arm) const;

  std::vector<run::Unit> ape_units() const;
  std::vector<run::Unit> missing(const BitTable& bits, const std::vector<std::string>& texts,
                                 int64_t items) const;
  std::vector<run::Unit> arm_units() const;
  std::vector<run::Unit> arm_evaluations() const;

  store::UnitOutput write_batch(const run::Unit& unit, run::Work& work) const;
  store::UnitOutput fit_latent_space(const run::Unit& unit) const;
  store::UnitOutput propose_in_ladder(const run::Unit& unit) const;
  store::UnitOutput propose_in_arm(const run::Unit& unit) const;

  void tell_latent_space(const run::Told& told);
  void tell_bits(const std::vector<run::Told>& results, BitTable& bits) const;
  void tell_arms(const std::vector<run::Told>& results);

  void add_pool(store::UnitOutput& out) const;
  void add_arms(store::UnitOutput& out) const;
  void add_comparisons(store::UnitOutput& out) const;
  void write_result() const;

  run::Context& context_;
  std::shared_ptr<const Setup> setup_;
  Stage stage_;
  EvaluationStage evaluation_;
  ApePool pool_;
  std::vector<Instruction> instructions_;
  int64_t ape_calls_ = 0;
  VaeQualityRow vae_quality_;
  VaeRow last_epoch_;
  Vae vae_;
  std::unique_ptr<Ladder> ladder_;
  std::optional<BitTable> bits_, test_bits_;
  std::unique_ptr<ArmGround> ground_;
  std::vector<ArmRun> arms_;
  std::vector<FinalistRow> finalists_;  // source and text, then the results
};

}  // namespace preimage::lipo
