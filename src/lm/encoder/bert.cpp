#include "encoder/bert.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/nn/activations.hpp"

namespace preimage::lm {
namespace {

using Shape = std::vector<int64_t>;

std::string layer_name(int64_t layer, const std::string& tensor) {
  return "encoder.layer." + std::to_string(layer) + "." + tensor;
}

}  // namespace

TensorList bert_tensors(const BertConfig& c) {
  const int64_t d = c.hidden_size, f = c.intermediate_size;
  TensorList list = {{"embeddings.word_embeddings.weight", {c.vocab_size, d}},
                     {"embeddings.position_embeddings.weight", {c.max_positions, d}},
                     {"embeddings.token_type_embeddings.weight", {c.token_types, d}},
                     {"embeddings.LayerNorm.weight", {d}},
                     {"embeddings.LayerNorm.bias", {d}}};
  for (int64_t i = 0; i < c.layers; ++i) {
    const auto add = [&](const std::string& name, int64_t out, int64_t in) {
      list.emplace_back(layer_name(i, name + ".weight"), in > 0 ? Shape{out, in} : Shape{out});
      list.emplace_back(layer_name(i, name + ".bias"), Shape{out});
    };
    for (const char* name : {"query", "key", "value"})
      add(std::string("attention.self.") + name, d, d);
    add("attention.output.dense", d, d);
    add("attention.output.LayerNorm", d, 0);
    add("intermediate.dense", f, d);
    add("output.dense", d, f);
    add("output.LayerNorm", d, 0);
  }
  return list;
}

Bert::Bert(const BertConfig& c, const TensorSource& source)
    : config_{.family = "bert",
              .hidden_size = c.hidden_size,
              .vocab_size = c.vocab_size,
              .max_tokens = c.max_positions,
              .notes = c.notes},
      heads_{c.heads, c.hidden_size / c.heads,
             1 / std::sqrt(static_cast<double>(c.hidden_size / c.heads))},
      eps_(c.norm_eps) {
  const int64_t d = c.hidden_size, f = c.intermediate_size;
  const auto weight = [&](const std::string& name, int64_t out, int64_t in) {
    return nn::Weight(source(name + ".weight", {out, in}), source(name + ".bias", {out}));
  };
  const auto norm_of = [&](const std::string& name) {
    return Norm{source(name + ".weight", {d}), source(name + ".bias", {d})};
  };
  words_ = source("embeddings.word_embeddings.weight", {c.vocab_size, d});
  // The reference adds the token type first and the position then; words come before both.
  const auto types = source("embeddings.token_type_embeddings.weight", {c.token_types, d});
  positions_ = source("embeddings.position_embeddings.weight", {c.max_positions, d}) + types[0];
  embedding_norm_ = norm_of("embeddings.LayerNorm");
  for (int64_t i = 0; i < c.layers; ++i) {
    const auto name = [&](const char* tensor) { return layer_name(i, tensor); };
    const auto query = weight(name("attention.self.query"), d, d);
    const auto key = weight(name("attention.self.key"), d, d);
    const auto value = weight(name("attention.self.value"), d, d);
    blocks_.push_back({.qkv = nn::Weight(at::cat({query.matrix(), key.matrix(), value.matrix()}),
                                         at::cat({query.bias(), key.bias(), value.bias()})),
                       .output = weight(name("attention.output.dense"), d, d),
                       .up = weight(name("intermediate.dense"), f, d),
                       .down = weight(name("output.dense"), d, f),
                       .attention_norm = norm_of(name("attention.output.LayerNorm")),
                       .output_norm = norm_of(name("output.LayerNorm"))});
  }
}

at::Tensor Bert::embed(const at::Tensor& ids) const {
  return at::embedding(words_, ids);
}

at::Tensor Bert::norm(const at::Tensor& x, const Norm& norm) const {
  return at::layer_norm(x, {x.size(1)}, norm.weight, norm.bias, eps_);
}

at::Tensor Bert::hidden(const at::Tensor& embedded, const nn::Packing& packing) const {
  base::check(packing.longest <= config_.max_tokens,
              "a sequence has no more tokens than positions");
  const at::NoGradGuard no_grad;
  std::vector<int64_t> places;
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    for (int64_t i = 0; i < packing.offsets[s + 1] - packing.offsets[s]; ++i) places.push_back(i);
  }
  const auto spans = nn::own_spans(packing);
  const int64_t d = config_.hidden_size;
  auto x = norm(embedded + positions_.index_select(0, at::tensor(places, at::kLong).to(device())),
                embedding_norm_);
  for (const auto& block : blocks_) {
    const auto qkv = nn::linear(x, block.qkv);
    const auto seen = nn::biased_attention(
        {qkv.narrow(1, 0, d), qkv.narrow(1, d, d), qkv.narrow(1, 2 * d, d)}, heads_, spans, {});
    x = norm(nn::linear(seen, block.output).add_(x), block.attention_norm);
    x = norm(nn::linear(nn::gelu(nn::linear(x, block.up)), block.down).add_(x), block.output_norm);
  }
  return x;
}

}  // namespace preimage::lm
