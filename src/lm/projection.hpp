// Linear layers of a model that stand on one input, as one product; adapters change them by name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "checkpoint/weight_source.hpp"
#include "preimage/nn/low_rank.hpp"

namespace preimage::lm {

// The changes of a forward pass: of a module by its name, or nothing; and where each sample's rows
// begin, where gradients of samples are asked for.
struct Changes {
  std::function<const nn::LowRank*(const std::string& module)> of;
  std::vector<int64_t> samples;
};

class Projection {
 public:
  struct Module {
    std::string name;  // "model.layers.0.self_attn.q_proj"
    int64_t out = 0;
  };
  Projection() = default;
  // NAME.weight [out, in] of each module, and NAME.bias where `bias`.
  Projection(const WeightSource& source, std::vector<Module> modules, int64_t in, bool bias);

  bool defined() const { return weight_.defined(); }
  // x [tokens, in] -> [tokens, sum of out], in the order of the modules.
  at::Tensor operator()(const at::Tensor& x) const {
    return nn::adapted_linear(x, weight_, changes_, samples_);
  }
  // The same with these changes beside those that it has; the frozen weight is shared.
  Projection changed(const Changes& changes) const;
  // The frozen matrix [out, in] of one of its modules in float32; undefined for another's name.
  at::Tensor matrix_of(const std::string& module) const;

 private:
  std::vector<Module> modules_;
  nn::Weight weight_;
  std::vector<nn::LowRank> changes_;
  std::vector<int64_t> samples_;
};

}  // namespace preimage::lm
