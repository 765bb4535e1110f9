#include "encoder/modernbert.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/lm/checkpoint/model_config.hpp"
#include "preimage/nn/activations.hpp"

namespace preimage::lm {
namespace {

using Shape = std::vector<int64_t>;

std::string layer_name(int64_t layer, const std::string& tensor) {
  return "layers." + std::to_string(layer) + "." + tensor;
}

}  // namespace

TensorList modernbert_tensors(const ModernBertConfig& c) {
  const int64_t d = c.hidden_size, f = c.intermediate_size;
  TensorList list = {{"embeddings.tok_embeddings.weight", {c.vocab_size, d}}};
  const auto add_norm = [&](const std::string& name) {
    list.emplace_back(name + ".weight", Shape{d});
    if (c.norm_bias) list.emplace_back(name + ".bias", Shape{d});
  };
  const auto add = [&](const std::string& name, const Shape& shape, bool bias) {
    list.emplace_back(name + ".weight", shape);
    if (bias) list.emplace_back(name + ".bias", Shape{shape[0]});
  };
  add_norm("embeddings.norm");
  for (int64_t i = 0; i < c.layers; ++i) {
    if (i > 0) add_norm(layer_name(i, "attn_norm"));
    add(layer_name(i, "attn.Wqkv"), {3 * d, d}, c.attention_bias);
    add(layer_name(i, "attn.Wo"), {d, d}, c.attention_bias);
    add_norm(layer_name(i, "mlp_norm"));
    add(layer_name(i, "mlp.Wi"), {2 * f, d}, c.mlp_bias);
    add(layer_name(i, "mlp.Wo"), {d, f}, c.mlp_bias);
  }
  add_norm("final_norm");
  return list;
}

ModernBert::ModernBert(const ModernBertConfig& c, const TensorSource& source)
    : config_{.family = "modernbert",
              .hidden_size = c.hidden_size,
              .vocab_size = c.vocab_size,
              .max_tokens = c.max_positions,
              .notes = c.notes},
      heads_{c.heads, c.hidden_size / c.heads,
             1 / std::sqrt(static_cast<double>(c.hidden_size / c.heads))},
      eps_(c.norm_eps),
      theta_(c.theta),
      local_theta_(c.local_theta),
      reach_(c.reach),
      inner_(c.intermediate_size) {
  const int64_t d = c.hidden_size, f = c.intermediate_size;
  const auto weight = [&](const std::string& name, int64_t out, int64_t in, bool bias) {
    return nn::Weight(source(name + ".weight", {out, in}),
                      bias ? source(name + ".bias", {out}) : at::Tensor());
  };
  const auto norm_of = [&](const std::string& name) {
    return Norm{source(name + ".weight", {d}),
                c.norm_bias ? source(name + ".bias", {d}) : at::Tensor()};
  };
  words_ = source("embeddings.tok_embeddings.weight", {c.vocab_size, d});
  embedding_norm_ = norm_of("embeddings.norm");
  for (int64_t i = 0; i < c.layers; ++i) {
    blocks_.push_back({.attention_norm = i > 0 ? norm_of(layer_name(i, "attn_norm")) : Norm{},
                       .mlp_norm = norm_of(layer_name(i, "mlp_norm")),
                       .qkv = weight(layer_name(i, "attn.Wqkv"), 3 * d, d, c.attention_bias),
                       .output = weight(layer_name(i, "attn.Wo"), d, d, c.attention_bias),
                       .up = weight(layer_name(i, "mlp.Wi"), 2 * f, d, c.mlp_bias),
                       .down = weight(layer_name(i, "mlp.Wo"), d, f, c.mlp_bias),
                       .windowed = c.windowed[static_cast<size_t>(i)]});
  }
  final_norm_ = norm_of("final_norm");
}

at::Tensor ModernBert::embed(const at::Tensor& ids) const {
  return at::embedding(words_, ids);
}

at::Tensor ModernBert::norm(const at::Tensor& x, const Norm& norm) const {
  return at::layer_norm(x, {x.size(1)}, norm.weight, norm.bias, eps_);
}

nn::KeySpans ModernBert::windows(const nn::Packing& packing) const {
  std::vector<int64_t> queries;
  std::vector<nn::KeySpan> keys;
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    const int64_t begin = packing.offsets[s], end = packing.offsets[s + 1];
    if (end - begin <= reach_ + 1) {  // all of it lies in every window
      queries.push_back(end - begin);
      keys.push_back({begin, end - begin});
      continue;
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = std::max(begin, i - reach_), last = std::min(end, i + reach_ + 1);
      queries.push_back(1);
      keys.push_back({first, last - first});
    }
  }
  return nn::make_spans(nn::make_packing(queries, device()), std::move(keys), /*causal=*/false);
}

nn::RotaryTable ModernBert::table(double theta, int64_t positions) const {
  const auto frequencies = rope_frequencies({.theta = theta}, heads_.head_dim);
  const auto angle = at::arange(positions, at::kFloat).unsqueeze(1) *
                     at::tensor(frequencies.inv_freq, at::kFloat).unsqueeze(0);
  return {angle.cos().to(device()), angle.sin().to(device())};
}

at::Tensor ModernBert::hidden(const at::Tensor& embedded, const nn::Packing& packing) const {
  base::check(packing.longest <= config_.max_tokens,
              "a sequence has no more tokens than positions");
  const at::NoGradGuard no_grad;
  std::vector<int64_t> places;
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    for (int64_t i = 0; i < packing.offsets[s + 1] - packing.offsets[s]; ++i) places.push_back(i);
  }
  const auto positions = at::tensor(places, at::kLong).to(device());
  const auto whole = nn::own_spans(packing), near = windows(packing);
  const auto table_all = table(theta_, packing.longest);
  const auto table_near = table(local_theta_, packing.longest);
  const int64_t d = config_.hidden_size;
  auto x = norm(embedded, embedding_norm_);
  for (const auto& block : blocks_) {
    const auto in = block.attention_norm.weight.defined() ? norm(x, block.attention_norm) : x;
    const auto qkv = nn::rotary(nn::linear(in, block.qkv), block.windowed ? table_near : table_all,
                                positions, 2 * heads_.heads);
    const auto seen =
        nn::biased_attention({qkv.narrow(1, 0, d), qkv.narrow(1, d, d), qkv.narrow(1, 2 * d, d)},
                             heads_, block.windowed ? near : whole, {});
    x = nn::linear(seen, block.output).add_(x);
    const auto gated = nn::linear(norm(x, block.mlp_norm), block.up);
    const auto inner =
        nn::gelu(gated.narrow(1, 0, inner_).contiguous()) * gated.narrow(1, inner_, inner_);
    x = nn::linear(inner, block.down).add_(x);
  }
  return norm(x, final_norm_);
}

}  // namespace preimage::lm
