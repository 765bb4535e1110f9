// The resumable state of a training: its tensors and the curve so far, in one safetensors file that
// is replaced by rename.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/cluster/communicator.hpp"

namespace preimage::lm {

class TrainStateFile {
 public:
  using Tensors = std::vector<std::pair<std::string, at::Tensor>>;
  // `file` "" keeps nothing. Loads into `tensors` and saves from them. `identity` names the
  // training.
  TrainStateFile(std::filesystem::path file, std::string identity, Tensors tensors);
  // The curve [steps, columns] float64 when there is a state; all ranks get the same. Collective.
  // CollectiveError bad_data when it is the state of another training.
  std::optional<at::Tensor> load(const cluster::Communicator& world) const;
  // Rank 0 writes, the others wait for it. Collective. CollectiveError io when it cannot.
  void save(const at::Tensor& curve, const cluster::Communicator& world) const;

 private:
  at::Tensor read() const;

  std::filesystem::path path_;
  std::string identity_;  // SHA-256
  Tensors tensors_;
};

}  // namespace preimage::lm
