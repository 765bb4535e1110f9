// What every arm of the verifier is: a prompt with a program behind it in, one energy out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "arms/encoding.hpp"
#include "preimage/base/random.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/nn/attention.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::verifier {

// Prompts with programs behind them, end to end and without padding: no mask is needed, there is no
// hole between prompt and program, and no sequence can see how the others were padded.
struct Sequences {
  std::vector<int64_t> ids;      // [tokens]
  std::vector<int64_t> lengths;  // [sequences]
  std::vector<int64_t> targets;  // [sequences]: so many tokens at the end are the program's
  std::vector<std::shared_ptr<const ProgramState>> states;  // [sequences]: null where none is kept
  void add(const std::vector<int64_t>& sequence, int64_t target);
  void add(const EncodedProgram& program);
  int64_t count() const { return static_cast<int64_t>(lengths.size()); }
};

// Dropout of one forward pass: every place of it draws from its own stream.
struct DropoutSource {
  double p = 0;  // 0: none
  uint64_t seed = 0;
  std::string unit;  // "step 12 shard 3"
  base::RandomStream stream(const std::string& place) const { return {seed, unit, place}; }
};

class EnergyModel {
 public:
  virtual ~EnergyModel() = default;
  // [sequences] float32: the mean over the program's positions of the energy at each. With a
  // sigmoid head in [0, 1], low for programs that should pass. Differentiable in what is trained.
  virtual at::Tensor energies(const Sequences& sequences, const DropoutSource& dropout) const = 0;
};

// 2 layers over each position's hidden state: d -> d / 2, GELU, 1.
class EnergyHead {
 public:
  // `bounded`: a sigmoid at each position before the mean.
  EnergyHead(int64_t hidden_size, bool bounded, const lm::TensorSource& source);
  // hidden [tokens, d] of all positions -> [sequences]; only the programs' rows go through the
  // head.
  at::Tensor operator()(const at::Tensor& hidden, const Sequences& sequences) const;
  static void append_tensors(int64_t hidden_size, lm::TensorList& list);

 private:
  nn::Weight inner_, outer_;
  bool bounded_;
};

}  // namespace preimage::verifier
