// Training an energy model on pairs of programs, with the same bits on any number of ranks, until
// validation problems stop improving: lm::run_loop() over pairs.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "arms/arms.hpp"
#include "arms/encoding.hpp"
#include "arms/losses.hpp"
#include "pairs.hpp"
#include "preimage/base/budget.hpp"
#include "preimage/base/config.hpp"
#include "preimage/cluster/communicator.hpp"
#include "preimage/lm/train/loop.hpp"
#include "preimage/optim/adam.hpp"
#include "report/metrics.hpp"

namespace preimage::verifier {

struct TrainingOptions {
  int64_t epochs = 10;       // passes over all distinct passing candidates
  int64_t batch_pairs = 64;  // of a step
  int64_t micro_shards = 8;  // gradients summed in a fixed tree; divides the work among ranks
  double lr = 3e-4;
  int64_t warmup_steps = 200;
  double final_fraction = 0.1;  // of lr, at the end of the cosine
  optim::AdamOptions adam = {.beta1 = 0.9, .beta2 = 0.95, .clip = 1, .weight_decay = 0.1};
  double dropout = 0.1;
  std::string dtype = "float32";  // of the products
  int64_t evaluate_every = 50;    // steps between validations
  int64_t patience = 5;           // validations without a better one that end the training
  int64_t batch_tokens = 16384;   // of a forward pass without gradient
  double checkpoint_interval_s = 60;
  void fields(base::Fields& f);
};

// Encoded candidates of one problem.
struct Examples {
  std::vector<EncodedProgram> programs;
  std::vector<bool> passes;
};

struct TrainingData {
  std::vector<Examples> train;  // problem p of the miner is train[p]
  std::vector<Examples> validation;
  const PairMiner* miner = nullptr;
};

// Places of a curve point's own numbers. Its validation is the mean over problems of pairwise
// accuracy, its items are pairs.
enum CurveNumber : size_t {
  kEpoch,         // passes over all distinct passing candidates, this step included
  kPairAccuracy,  // of the step's pairs, with dropout
};

struct TrainingRequest {
  const Arm& arm;
  const TrainingData& data;
  TrainingOptions options;
  LossOptions loss;
  uint64_t seed = 0;
  int64_t first_epoch = 0;  // of the miner: trainings that start alike see other pairs
};

struct TrainingPlace {
  const cluster::Communicator& world;
  at::Device device;
  std::filesystem::path state;  // file of the resumable state; "" keeps none
  base::Budget* budget = nullptr;
  std::function<void(const lm::CurvePoint&, int64_t steps)> report;  // on every rank
};

struct TrainingResult {
  lm::LoopResult loop;
  lm::Parameters best;  // of the best validation; of the last step without one
};

// All ranks call it. Goes on from `place.state` where it exists.
TrainingResult train(const TrainingRequest& request, const TrainingPlace& place);

// The energies of programs in their order, in batches of about `batch_tokens` tokens. Float32
// products give a program the same bits in any batch.
std::vector<double> score(const EnergyModel& model, const std::vector<EncodedProgram>& programs,
                          int64_t batch_tokens);

}  // namespace preimage::verifier
