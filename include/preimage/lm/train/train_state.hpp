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
  // `file` "" keeps nothing. Loads into `tensors` and saves from them.
  TrainStateFile(std::filesystem::path file, Tensors tensors);
  // The curve [steps, columns] float64 when there is a state; all ranks get the same. Collective.
  // ExitCode::bad_data when it is the state of another model.
  std::optional<at::Tensor> load(const cluster::Communicator& world) const;
  // Rank 0 writes. Collective only in that all ranks may call it.
  void save(const at::Tensor& curve, const cluster::Communicator& world) const;

 private:
  std::filesystem::path path_;
  Tensors tensors_;
};

}  // namespace preimage::lm
