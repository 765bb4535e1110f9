// All trainings of a run: each arm with each loss and each seed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "arms/arms.hpp"
#include "corpus.hpp"
#include "preimage/run/context.hpp"
#include "report/rows.hpp"
#include "setup.hpp"

namespace preimage::verifier {

struct TrainedModel {
  std::string arm, loss;
  int64_t seed = 0;
  TrainingResult result;
  bool probabilities = false;  // energies are logits: shown through a sigmoid
};

class Ensemble {
 public:
  // Loads what the arms start from. All must outlive the ensemble.
  Ensemble(run::Context& context, const Setup& setup);
  // Lets every arm keep what it can of the programs that are trained on.
  void prepare(TrainingData& data) const;
  // The same for programs that all models are about to score.
  void prepare(std::vector<EncodedProgram>& programs) const;
  // Trains everything that is not trained yet. Collective; throws ExitCode::stopped when the budget
  // ends it, with the state on disk.
  void train(const TrainingSet& data);

  const std::vector<TrainedModel>& trained() const { return trained_; }
  // Arm and loss whose mean best validation over seeds is highest; the first of a tie.
  bool is_chosen(const TrainedModel& model) const;
  // The energies of programs under trained()[index].
  std::vector<double> score(size_t index, const std::vector<EncodedProgram>& programs) const;
  // Makes the models ready for score(); releases them.
  void open();
  void close() { models_.clear(); }
  std::vector<TrainingRow> rows() const;

 private:
  TrainingResult train_one(const TrainedModel& model, const Arm& arm, const TrainingSet& data);
  const Arm& arm_named(const std::string& name) const;

  run::Context& context_;
  const Setup& setup_;
  std::vector<std::unique_ptr<const Arm>> arms_;
  std::vector<TrainedModel> trained_;
  std::string chosen_arm_, chosen_loss_;
  std::vector<std::unique_ptr<EnergyModel>> models_;
};

}  // namespace preimage::verifier
