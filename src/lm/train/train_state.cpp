#include "preimage/lm/train/train_state.hpp"

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"

namespace preimage::lm {

TrainStateFile::TrainStateFile(std::filesystem::path file, Tensors tensors)
    : path_(std::move(file)), tensors_(std::move(tensors)) {}

std::optional<at::Tensor> TrainStateFile::load(const cluster::Communicator& world) const {
  if (path_.empty()) return std::nullopt;
  // Every rank reads the same file; a state that only some of them see would part the ranks.
  const bool here = std::filesystem::exists(path_);
  if (!world.any(here)) return std::nullopt;
  if (!here)
    throw base::io_error(
        path_.string() +
        ": not visible on this rank, though another rank sees it; use a shared folder");
  const SafetensorsFile file(path_);
  const auto get = [&](const std::string& name) {
    const auto* info = file.find(name);
    if (!info)
      throw base::data_error(path_.string() + ": holds no tensor \"" + name +
                             "\"; remove the file to start again");
    return file.read(*info);
  };
  for (auto [name, tensor] : tensors_) {
    const auto stored = get(name);
    if (stored.sizes() != tensor.sizes()) {
      throw base::data_error(base::str(path_.string(), ": \"", name, "\" has ", stored.numel(),
                                       " values, this model has ", tensor.numel(),
                                       "; remove the file to start again"));
    }
    tensor.copy_(stored);
  }
  return get("curve");
}

void TrainStateFile::save(const at::Tensor& curve, const cluster::Communicator& world) const {
  if (path_.empty() || !world.root()) return;
  std::vector<std::pair<std::string, at::Tensor>> stored;
  for (const auto& [name, tensor] : tensors_)
    stored.emplace_back(name, tensor.detach().to(at::kCPU).contiguous());
  stored.emplace_back("curve", curve);
  write_safetensors(path_, stored);
}

}  // namespace preimage::lm
