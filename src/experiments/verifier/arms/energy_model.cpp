#include "arms/energy_model.hpp"

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/nn/activations.hpp"

namespace preimage::verifier {

void Sequences::add(const std::vector<int64_t>& sequence, int64_t target) {
  base::check(target >= 1 && target <= static_cast<int64_t>(sequence.size()),
              "a program has a token at least");
  ids.insert(ids.end(), sequence.begin(), sequence.end());
  lengths.push_back(static_cast<int64_t>(sequence.size()));
  targets.push_back(target);
  states.emplace_back();
}

void Sequences::add(const EncodedProgram& program) {
  add(program.ids, program.targets);
  states.back() = program.state;
}

EnergyHead::EnergyHead(int64_t hidden_size, bool bounded, const lm::TensorSource& source)
    : bounded_(bounded) {
  const int64_t inner = hidden_size / 2;
  inner_ = nn::Weight(source("head.inner.weight", {inner, hidden_size}),
                      source("head.inner.bias", {inner}));
  outer_ = nn::Weight(source("head.outer.weight", {1, inner}), source("head.outer.bias", {1}));
}

void EnergyHead::append_tensors(int64_t hidden_size, lm::TensorList& list) {
  const int64_t inner = hidden_size / 2;
  list.emplace_back("head.inner.weight", std::vector<int64_t>{inner, hidden_size});
  list.emplace_back("head.inner.bias", std::vector<int64_t>{inner});
  list.emplace_back("head.outer.weight", std::vector<int64_t>{1, inner});
  list.emplace_back("head.outer.bias", std::vector<int64_t>{1});
}

at::Tensor EnergyHead::operator()(const at::Tensor& hidden, const Sequences& sequences) const {
  std::vector<int64_t> rows;
  int64_t end = 0;
  for (int64_t s = 0; s < sequences.count(); ++s) {
    end += sequences.lengths[static_cast<size_t>(s)];
    for (int64_t i = end - sequences.targets[static_cast<size_t>(s)]; i < end; ++i)
      rows.push_back(i);
  }
  const auto index = at::tensor(rows, at::kLong).to(hidden.device());
  const auto inner = nn::gelu(nn::linear(hidden.index_select(0, index), inner_));
  auto energy = nn::linear(inner, outer_).squeeze(1).to(at::kFloat);
  if (bounded_) energy = at::sigmoid(energy);
  const auto lengths = at::tensor(sequences.targets, at::kLong).to(hidden.device());
  return at::segment_reduce(energy, "mean", lengths, {}, {}, 0, /*unsafe=*/true);
}

}  // namespace preimage::verifier
