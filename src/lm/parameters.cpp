#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/lm/train.hpp"

namespace preimage::lm {
namespace {

Parameters empty_parameters(const ModelConfig& config) {
  Parameters out;
  int64_t total = 0;
  const auto list = expected_tensors(config);
  for (const auto& [name, shape] : list) total += c10::multiply_integers(shape);
  out.flat = at::zeros({total}, at::kFloat);
  out.decay_mask = at::zeros({total}, at::kFloat);
  int64_t at = 0;
  for (const auto& [name, shape] : list) {
    const int64_t size = c10::multiply_integers(shape);
    out.views[name] = out.flat.narrow(0, at, size).view(shape);
    if (shape.size() > 1) out.decay_mask.narrow(0, at, size).fill_(1);
    at += size;
  }
  return out;
}

// Moves the flat vectors and makes the views again.
Parameters on_device(Parameters parameters, const ModelConfig& config, at::Device device) {
  if (device.is_cpu()) return parameters;
  parameters.flat = parameters.flat.to(device);
  parameters.decay_mask = parameters.decay_mask.to(device);
  int64_t at = 0;
  for (const auto& [name, shape] : expected_tensors(config)) {
    const int64_t size = c10::multiply_integers(shape);
    parameters.views[name] = parameters.flat.narrow(0, at, size).view(shape);
    at += size;
  }
  return parameters;
}

void fill_normal(at::Tensor& tensor, const base::RandomStream& stream, double scale) {
  float* data = tensor.data_ptr<float>();
  at::parallel_for(0, tensor.numel(), 1 << 12, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      data[i] = static_cast<float>(scale * stream.normal(static_cast<uint64_t>(i)));
  });
}

}  // namespace

Parameters initial_parameters(const ModelConfig& config, uint64_t seed, at::Device device) {
  auto out = empty_parameters(config);
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
  return on_device(std::move(out), config, device);
}

Parameters load_parameters(const std::filesystem::path& folder, const ModelConfig& config,
                           at::Device device) {
  const Checkpoint checkpoint(folder);
  auto out = empty_parameters(config);
  for (const auto& [name, shape] : expected_tensors(config)) {
    out.views[name].copy_(checkpoint.load(name, shape, at::kFloat, at::kCPU));
  }
  return on_device(std::move(out), config, device);
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
