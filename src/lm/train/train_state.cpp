#include "preimage/lm/train/train_state.hpp"

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"

namespace preimage::lm {
namespace {

constexpr const char* kIdentity = "training";

}  // namespace

TrainStateFile::TrainStateFile(std::filesystem::path file, std::string identity, Tensors tensors)
    : path_(std::move(file)), identity_(base::sha256_hex(identity)), tensors_(std::move(tensors)) {}

at::Tensor TrainStateFile::read() const {
  const SafetensorsFile file(path_);
  const auto start_again = "; remove the file to start again";
  const auto named = file.metadata().find(kIdentity);
  if (named == file.metadata().end() || named->second != identity_)
    throw base::data_error(base::str(path_.string(), ": the state of another training than this ",
                                     identity_.substr(0, 12), start_again));
  std::vector<at::Tensor> stored;
  for (const auto& [name, tensor] : tensors_) {
    const auto* info = file.find(name);
    if (!info)
      throw base::data_error(
          base::str(path_.string(), ": holds no tensor \"", name, "\"", start_again));
    stored.push_back(file.read(*info));
    if (stored.back().sizes() != tensor.sizes()) {
      throw base::data_error(base::str(path_.string(), ": \"", name, "\" has ",
                                       stored.back().numel(), " values, this model has ",
                                       tensor.numel(), start_again));
    }
  }
  const auto* curve = file.find("curve");
  if (!curve)
    throw base::data_error(base::str(path_.string(), ": holds no tensor \"curve\"", start_again));
  for (size_t i = 0; i < tensors_.size(); ++i) {
    at::Tensor tensor = tensors_[i].second;
    tensor.copy_(stored[i]);
  }
  return file.read(*curve);
}

std::optional<at::Tensor> TrainStateFile::load(const cluster::Communicator& world) const {
  if (path_.empty()) return std::nullopt;
  // Every rank reads the same file; a state that only some of them see would part the ranks.
  const bool here = std::filesystem::exists(path_);
  if (!world.any(here)) return std::nullopt;
  at::Tensor curve;
  cluster::together(world, [&] {
    if (!here)
      throw base::io_error(
          path_.string() +
          ": not visible on this rank, though another rank sees it; use a shared folder");
    curve = read();
  });
  return curve;
}

void TrainStateFile::save(const at::Tensor& curve, const cluster::Communicator& world) const {
  if (path_.empty()) return;
  cluster::on_root(world, [&] {
    Tensors stored;
    for (const auto& [name, tensor] : tensors_)
      stored.emplace_back(name, tensor.detach().to(at::kCPU).contiguous());
    stored.emplace_back("curve", curve);
    write_safetensors(path_, stored, {{"format", "pt"}, {kIdentity, identity_}});
    return std::string();
  });
}

}  // namespace preimage::lm
