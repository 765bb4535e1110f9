// The resumable state of a training: parameters, moments and the curve so far, in one safetensors
// file that is replaced by rename.
#pragma once

#include <filesystem>
#include <vector>

#include "preimage/lm/train.hpp"

namespace preimage::lm {

class TrainStateFile {
 public:
  // `folder` "" keeps nothing. Refers to the tensors it loads into and saves from.
  TrainStateFile(std::filesystem::path folder, Parameters& parameters, optim::AdamWState& adam);
  // Loads the state when there is one; all ranks get the same. Collective.
  std::vector<TrainPoint> load(const cluster::Communicator& world);
  // Rank 0 writes. Collective only in that all ranks may call it.
  void save(const std::vector<TrainPoint>& curve, const cluster::Communicator& world) const;

 private:
  std::filesystem::path path_;
  Parameters& parameters_;
  optim::AdamWState& adam_;
};

}  // namespace preimage::lm
