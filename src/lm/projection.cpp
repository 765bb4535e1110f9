#include "projection.hpp"

#include <utility>

#include <ATen/ATen.h>

namespace preimage::lm {

Projection::Projection(const WeightSource& source, std::vector<Module> modules, int64_t in,
                       bool bias)
    : modules_(std::move(modules)) {
  std::vector<nn::Weight> parts;
  std::vector<at::Tensor> biases;
  if (bias) {
    for (const auto& module : modules_)
      biases.push_back(source.tensor(module.name + ".bias", {module.out}));
  }
  for (const auto& module : modules_)
    parts.push_back(source.matrix(module.name + ".weight", module.out, in));
  const auto whole = biases.size() == 1 ? biases[0] : bias ? at::cat(biases) : at::Tensor();
  weight_ = nn::stacked(parts, whole);
}

Projection Projection::changed(const Changes& changes) const {
  Projection out = *this;
  out.samples_ = changes.samples;
  int64_t first = 0;
  for (const auto& module : modules_) {
    if (const auto* change = changes.of(module.name)) {
      out.changes_.push_back(*change);
      out.changes_.back().first_row = first;
    }
    first += module.out;
  }
  return out;
}

at::Tensor Projection::matrix_of(const std::string& name) const {
  int64_t first = 0;
  for (const auto& module : modules_) {
    if (module.name == name) {
      return weight_.narrow() ? weight_.dense(at::kFloat).narrow(0, first, module.out)
                              : weight_.matrix().narrow(0, first, module.out).to(at::kFloat);
    }
    first += module.out;
  }
  return {};
}

}  // namespace preimage::lm
