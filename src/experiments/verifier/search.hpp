// A run of the verifier as waves of units: candidates are generated and judged, the models are
// trained by all ranks together, then every problem is scored.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "arms/ensemble.hpp"
#include "corpus.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/search.hpp"
#include "report/evaluation.hpp"
#include "setup.hpp"

namespace preimage::verifier {

class VerifierSearch : public run::Search {
 public:
  VerifierSearch(run::Context& context, std::unique_ptr<const Setup> setup);

  std::vector<run::Unit> ask(int64_t wave) override;
  // Trains before the scoring wave; the state of the trainings survives a kill.
  void prepare(int64_t wave) override;
  void evaluate(run::Work& work) override;
  void tell(const std::vector<run::Told>& results) override;
  store::UnitOutput finish() override;
  store::Schemas schemas() const override { return verifier_schemas(); }

 private:
  enum class Stage { candidates, scores, done };

  void tell_candidates(const std::vector<run::Told>& results);
  void tell_scores(const std::vector<run::Told>& results);
  void train();
  std::vector<run::Unit> score_units() const;
  void score(run::Work& work);
  store::UnitOutput score_problem(int64_t problem);
  void add_problems(store::UnitOutput& out) const;
  void add_pairs(store::UnitOutput& out) const;
  void report(const Evaluation& evaluation) const;

  run::Context& context_;
  std::unique_ptr<const Setup> setup_;
  Stage stage_;
  Corpus corpus_;
  std::unique_ptr<EncodedCorpus> encoded_;
  TrainingSet training_;
  std::unique_ptr<Ensemble> ensemble_;
  std::vector<TrainedScores> scores_;  // one for each training
};

}  // namespace preimage::verifier
