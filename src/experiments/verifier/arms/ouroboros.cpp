#include "arms/ouroboros.hpp"

#include <cmath>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/nn/activations.hpp"
#include "preimage/nn/bidirectional_attention.hpp"
#include "preimage/nn/dropout.hpp"
#include "preimage/nn/layer_norm.hpp"

namespace preimage::verifier {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr double kRopeBase = 10000;

std::string block_name(int64_t block, const char* tensor) {
  return base::str("blocks.", block, ".", tensor);
}

// x with the dropout of one place of the forward pass.
at::Tensor dropped(const at::Tensor& x, const DropoutSource& source, const std::string& place) {
  if (source.p == 0) return x;
  const auto stream = source.stream(place);
  return nn::dropout(x, {source.p, &stream});
}

// [tokens]: the place of each token in its sequence.
at::Tensor positions_of(const Sequences& sequences, at::Device device) {
  std::vector<int64_t> positions;
  positions.reserve(sequences.ids.size());
  for (const int64_t length : sequences.lengths) {
    for (int64_t i = 0; i < length; ++i) positions.push_back(i);
  }
  return at::tensor(positions, at::kLong).to(device);
}

// The rows of a fused projection [3 d, d], queries and keys reordered, values as they are.
at::Tensor reordered(const at::Tensor& qkv, const OuroborosConfig& config) {
  const int64_t d = config.hidden_size;
  return at::cat({half_split(qkv.narrow(0, 0, 2 * d), 2 * config.heads), qkv.narrow(0, 2 * d, d)});
}

}  // namespace

at::Tensor half_split(const at::Tensor& rows, int64_t heads) {
  const int64_t pairs = rows.size(0) / (2 * heads);
  return rows.reshape({heads, pairs, 2, rows.size(1)}).transpose(1, 2).reshape(rows.sizes());
}

lm::TensorList ouroboros_tensors(const OuroborosConfig& config) {
  const int64_t d = config.hidden_size;
  lm::TensorList list = {{"token_embedding.weight", {config.vocab_size, d}}};
  for (int64_t i = 0; i < config.layers; ++i) {
    const auto add = [&](const char* name, std::vector<int64_t> shape) {
      list.emplace_back(block_name(i, name), std::move(shape));
    };
    add("attention_norm.weight", {d});
    add("attention_norm.bias", {d});
    add("attention.qkv.weight", {3 * d, d});
    add("attention.output.weight", {d, d});
    add("mlp_norm.weight", {d});
    add("mlp_norm.bias", {d});
    add("mlp.up.weight", {4 * d, d});
    add("mlp.down.weight", {d, 4 * d});
  }
  list.emplace_back("norm.weight", std::vector<int64_t>{d});
  list.emplace_back("norm.bias", std::vector<int64_t>{d});
  EnergyHead::append_tensors(d, list);
  return list;
}

int64_t parameter_count(const OuroborosConfig& config) {
  int64_t total = 0;
  for (const auto& [name, shape] : ouroboros_tensors(config))
    total += c10::multiply_integers(shape);
  return total;
}

lm::Parameters initial_ouroboros(const OuroborosConfig& config, uint64_t seed, at::Device device) {
  const auto list = ouroboros_tensors(config);
  auto out = lm::make_parameters(list, at::kCPU);
  for (auto& [name, view] : out.views) {
    if (view.dim() > 1) {
      lm::fill_normal(view, base::RandomStream(seed, name, "initial parameters"), 0.02);
    } else if (name.ends_with("norm.weight")) {
      view.fill_(1);
    }
  }
  return lm::to_device(std::move(out), list, device);
}

Ouroboros::Ouroboros(const OuroborosConfig& config, const lm::TensorSource& source)
    : config_(config), head_(config.hidden_size, config.bounded, source) {
  const int64_t d = config.hidden_size;
  embedding_ = source("token_embedding.weight", {config.vocab_size, d});
  for (int64_t i = 0; i < config.layers; ++i) {
    const auto get = [&](const char* name, at::IntArrayRef shape) {
      return source(block_name(i, name), shape);
    };
    Block block;
    block.attention_norm = get("attention_norm.weight", {d});
    block.attention_norm_bias = get("attention_norm.bias", {d});
    block.qkv = nn::Weight(reordered(get("attention.qkv.weight", {3 * d, d}), config_));
    block.output = nn::Weight(get("attention.output.weight", {d, d}));
    block.mlp_norm = get("mlp_norm.weight", {d});
    block.mlp_norm_bias = get("mlp_norm.bias", {d});
    block.up = nn::Weight(get("mlp.up.weight", {4 * d, d}));
    block.down = nn::Weight(get("mlp.down.weight", {d, 4 * d}));
    blocks_.push_back(std::move(block));
  }
  norm_ = source("norm.weight", {d});
  norm_bias_ = source("norm.bias", {d});
}

nn::RotaryTable Ouroboros::rotary_table(int64_t positions, at::Device device) const {
  const int64_t half = config_.head_dim() / 2;
  const auto exponent = at::arange(half, at::kDouble) * (-1.0 / static_cast<double>(half));
  const auto angle =
      at::arange(positions, at::kDouble).unsqueeze(1) * at::pow(kRopeBase, exponent).unsqueeze(0);
  return {angle.cos().to(at::kFloat).to(device), angle.sin().to(at::kFloat).to(device)};
}

at::Tensor Ouroboros::hidden(const Sequences& sequences, const DropoutSource& dropout) const {
  const auto device = embedding_.device();
  const auto packing = nn::make_packing(sequences.lengths, device);
  const auto table = rotary_table(packing.longest, device);
  const auto positions = positions_of(sequences, device);
  const nn::HeadLayout heads{.query_heads = config_.heads,
                             .kv_heads = config_.heads,
                             .head_dim = config_.head_dim(),
                             .scale = 1 / std::sqrt(static_cast<double>(config_.head_dim()))};
  auto x = at::embedding(embedding_, at::tensor(sequences.ids, at::kLong).to(device));
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const auto& block = blocks_[i];
    const std::string place = base::str("block ", i);
    const auto stream = dropout.stream(place + " attention weights");
    const auto normed =
        nn::layer_norm(x, block.attention_norm, block.attention_norm_bias, kEpsilon);
    const auto qkv = nn::rotary(nn::linear(normed, block.qkv), table, positions, 2 * config_.heads);
    const auto attended = nn::bidirectional_attention(qkv, heads, packing, {dropout.p, &stream});
    x = x + dropped(nn::linear(attended, block.output), dropout, place + " attention");
    const auto inner =
        nn::linear(nn::layer_norm(x, block.mlp_norm, block.mlp_norm_bias, kEpsilon), block.up);
    x = x + dropped(nn::linear(nn::gelu(inner), block.down), dropout, place + " mlp");
  }
  return nn::layer_norm(x, norm_, norm_bias_, kEpsilon);
}

at::Tensor Ouroboros::energies(const Sequences& sequences, const DropoutSource& dropout) const {
  return head_(hidden(sequences, dropout), sequences);
}

}  // namespace preimage::verifier
