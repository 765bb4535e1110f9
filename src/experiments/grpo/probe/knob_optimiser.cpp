#include "knob_optimiser.hpp"

#include <algorithm>
#include <cstring>

#include <ATen/ATen.h>

namespace preimage::grpo {

std::vector<float> host_copy(const at::Tensor& values) {
  const auto host = values.to(at::kCPU).contiguous();
  const float* data = host.const_data_ptr<float>();
  return {data, data + host.numel()};
}

void assign(at::Tensor& values, const std::vector<float>& from) {
  at::Tensor host = at::empty({std::ssize(from)}, at::kFloat);
  std::memcpy(host.data_ptr<float>(), from.data(), from.size() * sizeof(float));
  values.copy_(host);
}

KnobOptimiser::KnobOptimiser(const at::Tensor& values, const at::Tensor& decay_mask)
    : decay_mask_(decay_mask),
      decays_(decay_mask.sum().item<double>() > 0),
      state_{at::zeros_like(values), at::zeros_like(values), 0} {}

// Momentum: m = momentum m + g, s = s - lr m, with the gradient clipped as Adam's is.
void KnobOptimiser::descend(at::Tensor& values, const std::vector<float>& gradient,
                            const KnobStepOptions& options) {
  const double length = norm(std::span<const float>(gradient));
  const double scale =
      options.adam.clip > 0 ? std::min(1.0, options.adam.clip / (length + 1e-6)) : 1;
  auto moment = host_copy(state_.first), s = host_copy(values);
  for (size_t j = 0; j < s.size(); ++j) {
    moment[j] = static_cast<float>(options.momentum * moment[j] + scale * gradient[j]);
    s[j] = static_cast<float>(s[j] - options.lr * moment[j]);
  }
  assign(state_.first, moment);
  assign(values, s);
}

Alignment KnobOptimiser::step(at::Tensor& values, const std::vector<float>& gradient,
                              const Directions& directions, const KnobStepOptions& options) {
  const auto before = host_copy(values);
  const bool adam = options.remedy != Remedy::sgd;
  const double decay = adam && decays_ ? options.lr * options.adam.weight_decay : 0;
  if (adam) {
    at::Tensor g = at::empty_like(values);
    assign(g, gradient);
    optim::adamw_step(values, g, decay_mask_, state_, options.lr, options.adam);
  } else {
    descend(values, gradient, options);
  }
  auto after = host_copy(values);
  if (options.remedy == Remedy::update) {
    std::vector<float> negative(before.size());
    for (size_t j = 0; j < before.size(); ++j)
      negative[j] = static_cast<float>(before[j] * (1 - decay) - static_cast<double>(after[j]));
    project(negative, directions, options.projection);
    for (size_t j = 0; j < before.size(); ++j)
      after[j] = static_cast<float>(before[j] * (1 - decay) - static_cast<double>(negative[j]));
    assign(values, after);
  }
  if (options.remedy == Remedy::moments) {
    auto moment = host_copy(state_.first);
    project(moment, directions, options.projection);
    assign(state_.first, moment);
  }
  return leak({before, after, decay}, directions);
}

}  // namespace preimage::grpo
