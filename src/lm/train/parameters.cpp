#include <cmath>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/lm/train/train.hpp"

namespace preimage::lm {

Parameters initial_parameters(const ModelConfig& config, uint64_t seed, at::Device device) {
  const auto list = expected_tensors(config);
  auto out = make_parameters(list, at::kCPU);
  const double residual = 1 / std::sqrt(2.0 * static_cast<double>(config.layers));
  for (auto& [name, view] : out.views) {
    if (view.dim() == 1) {
      view.fill_(name.ends_with("norm.weight") ? 1 : 0);
      continue;
    }
    const bool into_residual =
        name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
    fill_normal(view, base::RandomStream(seed, name, "initial parameters"),
                0.02 * (into_residual ? residual : 1));
  }
  return to_device(std::move(out), list, device);
}

Parameters load_parameters(const std::filesystem::path& folder, const ModelConfig& config,
                           at::Device device) {
  const auto list = expected_tensors(config);
  auto out = make_parameters(list, at::kCPU);
  for (const auto& [name, tensor] : load_tensors(folder, config, {})) out.views[name].copy_(tensor);
  return to_device(std::move(out), list, device);
}

void save_parameters(const Parameters& parameters, const ModelConfig& config, at::ScalarType dtype,
                     const std::filesystem::path& folder) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& [name, shape] : expected_tensors(config)) {
    tensors.emplace_back(name, parameters.views.at(name).detach().to(at::kCPU, dtype).contiguous());
  }
  write_safetensors(folder / "model.safetensors", tensors);
}

}  // namespace preimage::lm
