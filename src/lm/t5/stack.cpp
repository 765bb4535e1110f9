#include "t5/stack.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/nn/activations.hpp"
#include "preimage/nn/layers.hpp"

namespace preimage::lm {
namespace {

using Shape = std::vector<int64_t>;

// Distances that the bias covers at first; doubled when a longer sequence comes.
constexpr int64_t kFirstLength = 64;

constexpr const char* kBias = "block.0.layer.0.SelfAttention.relative_attention_bias.weight";

int64_t inner_size(const T5Config& config) {
  return config.heads * config.head_dim;
}

nn::FullHeads heads_of(const T5Config& config) {
  return {config.heads, config.head_dim, /*scale=*/1.0};  // T5 does not scale its scores
}

std::string block_name(int64_t block) {
  return "block." + std::to_string(block) + ".";
}

// Keys that stay for many steps, in the dtype that attention reads: on the CPU float32.
at::ScalarType kept_dtype(const at::Tensor& table) {
  return table.is_cpu() ? at::kFloat : table.scalar_type();
}

// Float32 products; on the CPU their bits do not depend on the number of threads.
at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  return a.is_cpu() ? nn::chained_mm(a, b) : at::mm(a, b);
}

// A third (of qkv) or a half (of keys and values) of fused columns.
at::Tensor part(const at::Tensor& fused, int64_t index, int64_t width) {
  return fused.narrow(1, index * width, width);
}

}  // namespace

int64_t relative_position_bucket(int64_t relative, bool bidirectional, int64_t buckets,
                                 int64_t max_distance) {
  int64_t base = 0, distance = 0;
  if (bidirectional) {
    buckets /= 2;
    base = relative > 0 ? buckets : 0;
    distance = std::abs(relative);
  } else {
    distance = std::max<int64_t>(-relative, 0);
  }
  const int64_t exact = buckets / 2;
  if (distance < exact) return base + distance;
  // In float32, operation by operation as the reference does.
  const float ratio = static_cast<float>(distance) / static_cast<float>(exact);
  const auto range =
      static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact)));
  const float scaled = std::log(ratio) / range * static_cast<float>(buckets - exact);
  return base + std::min(buckets - 1, exact + static_cast<int64_t>(scaled));
}

TensorList t5_stack_tensors(const T5Config& c, const std::string& stack) {
  const bool decoder = stack == "decoder.";
  const int64_t d = c.hidden_size, inner = inner_size(c);
  TensorList list = {{stack + kBias, {c.buckets, c.heads}}};
  for (int64_t i = 0; i < (decoder ? c.decoder_layers : c.layers); ++i) {
    const auto add = [&](const std::string& name, Shape shape) {
      list.emplace_back(stack + block_name(i) + name, std::move(shape));
    };
    const auto add_attention = [&](const std::string& name) {
      for (const char* matrix : {"q", "k", "v"}) add(name + matrix + ".weight", {inner, d});
      add(name + "o.weight", {d, inner});
    };
    add("layer.0.layer_norm.weight", {d});
    add_attention("layer.0.SelfAttention.");
    if (decoder) {
      add("layer.1.layer_norm.weight", {d});
      add_attention("layer.1.EncDecAttention.");
    }
    const std::string last = decoder ? "layer.2." : "layer.1.";
    add(last + "layer_norm.weight", {d});
    for (const char* wi :
         c.gated ? std::vector<const char*>{"wi_0", "wi_1"} : std::vector<const char*>{"wi"}) {
      add(last + "DenseReluDense." + wi + ".weight", {c.intermediate_size, d});
    }
    add(last + "DenseReluDense.wo.weight", {d, c.intermediate_size});
  }
  list.emplace_back(stack + "final_layer_norm.weight", Shape{d});
  return list;
}

// ---- the pieces of a block
// -------------------------------------------------------------------------

T5Positions::T5Positions(const T5Config& config, bool bidirectional, at::Tensor buckets)
    : max_distance_(config.max_distance),
      bidirectional_(bidirectional),
      buckets_(std::move(buckets)) {}

nn::RelativeBias T5Positions::bias(int64_t length) const {
  const std::scoped_lock lock(mutex_);
  if (!grown_.table.defined() || grown_.zero < length - 1) {
    int64_t covered = kFirstLength;
    while (covered < length) covered *= 2;
    std::vector<int64_t> rows;
    for (int64_t relative = 1 - covered; relative < (bidirectional_ ? covered : 1); ++relative) {
      rows.push_back(
          relative_position_bucket(relative, bidirectional_, buckets_.size(0), max_distance_));
    }
    const auto index = at::tensor(rows, at::kLong).to(buckets_.device());
    grown_ = {buckets_.index_select(0, index).t().to(at::kFloat).contiguous(), covered - 1};
  }
  return grown_;
}

T5SelfAttention::T5SelfAttention(const T5Config& config, const T5Source& layer)
    : norm(layer("layer_norm.weight", {config.hidden_size})) {
  const int64_t d = config.hidden_size, inner = inner_size(config);
  const auto get = [&](const char* name) {
    return layer(std::string("SelfAttention.") + name + ".weight", {inner, d});
  };
  qkv = nn::Weight(at::cat({get("q"), get("k"), get("v")}));
  output = nn::Weight(layer("SelfAttention.o.weight", {d, inner}));
}

T5FeedForward::T5FeedForward(const T5Config& config, const T5Source& layer)
    : gated_(config.gated),
      eps_(config.norm_eps),
      norm_(layer("layer_norm.weight", {config.hidden_size})) {
  const int64_t d = config.hidden_size, f = config.intermediate_size;
  const auto get = [&](const char* name, at::IntArrayRef shape) {
    return layer(std::string("DenseReluDense.") + name + ".weight", shape);
  };
  in_ =
      nn::Weight(gated_ ? at::cat({get("wi_0", {f, d}), get("wi_1", {f, d})}) : get("wi", {f, d}));
  out_ = nn::Weight(get("wo", {d, f}));
}

at::Tensor T5FeedForward::operator()(const at::Tensor& x) const {
  auto inner = nn::linear(nn::rms_norm(x, norm_, eps_), in_);
  inner = gated_ ? nn::gated_gelu(inner) : inner.relu_();
  return nn::linear(inner, out_).add_(x);
}

// ---- encoder
// ---------------------------------------------------------------------------------------

T5Encoder::T5Encoder(const T5Config& c, at::Tensor embedding, const T5Source& stack)
    : config_{.family = "t5", .hidden_size = c.hidden_size, .vocab_size = c.vocab_size},
      heads_(heads_of(c)),
      eps_(c.norm_eps),
      embedding_(std::move(embedding)),
      positions_(c, /*bidirectional=*/true, stack(kBias, {c.buckets, c.heads})) {
  for (int64_t i = 0; i < c.layers; ++i) {
    const auto block = stack.below(block_name(i));
    blocks_.push_back(
        {T5SelfAttention(c, block.below("layer.0.")), T5FeedForward(c, block.below("layer.1."))});
  }
  norm_ = stack("final_layer_norm.weight", {c.hidden_size});
}

at::Tensor T5Encoder::embed(const at::Tensor& ids) const {
  return at::embedding(embedding_, ids);
}

template <class Attend>
at::Tensor T5Encoder::blocks(at::Tensor x, const Attend& attend) const {
  for (const auto& block : blocks_) {
    const auto qkv = nn::linear(nn::rms_norm(x, block.attention.norm, eps_), block.attention.qkv);
    x = block.feed_forward(nn::linear(attend(qkv), block.attention.output).add_(x));
  }
  return nn::rms_norm(x, norm_, eps_);
}

at::Tensor T5Encoder::hidden(const at::Tensor& x, const nn::Packing& packing) const {
  const at::NoGradGuard no_grad;
  const auto spans = nn::own_spans(packing);
  const auto bias = positions_.bias(packing.longest);
  const int64_t width = heads_.heads * heads_.head_dim;
  return blocks(x, [&](const at::Tensor& qkv) {
    return nn::biased_attention({part(qkv, 0, width), part(qkv, 1, width), part(qkv, 2, width)},
                                heads_, spans, bias);
  });
}

at::Tensor T5Encoder::hidden_at(const at::Tensor& x, const at::Tensor& places) const {
  const at::NoGradGuard no_grad;
  const auto bias = positions_.bias(places[-1].item<int64_t>() + 1);
  const auto distance = places.unsqueeze(0) - places.unsqueeze(1) + bias.zero;  // [query, key]
  const auto table = bias.table.index_select(1, distance.flatten())
                         .view({heads_.heads, distance.size(0), distance.size(1)});
  const int64_t width = heads_.heads * heads_.head_dim;
  return blocks(x, [&](const at::Tensor& qkv) {
    std::vector<at::Tensor> out;
    for (int64_t h = 0; h < heads_.heads; ++h) {
      const auto of = [&](int64_t index) {
        return qkv.narrow(1, index * width + h * heads_.head_dim, heads_.head_dim).to(at::kFloat);
      };
      const auto scores = product(of(0), of(1).t()) + table[h];
      out.push_back(product(at::softmax(scores, 1), of(2)));
    }
    return at::cat(out, 1).to(qkv.scalar_type());
  });
}

// ---- decoder
// ---------------------------------------------------------------------------------------

T5Decoder::Block T5Decoder::make_block(const T5Config& c, const T5Source& block) {
  const int64_t d = c.hidden_size, inner = inner_size(c);
  const auto cross = block.below("layer.1.");
  const auto get = [&](const char* name, at::IntArrayRef shape) {
    return cross(std::string("EncDecAttention.") + name + ".weight", shape);
  };
  return {.attention = T5SelfAttention(c, block.below("layer.0.")),
          .cross_norm = cross("layer_norm.weight", {d}),
          .cross_query = nn::Weight(get("q", {inner, d})),
          .cross_keys_values = nn::Weight(at::cat({get("k", {inner, d}), get("v", {inner, d})})),
          .cross_output = nn::Weight(get("o", {d, inner})),
          .feed_forward = T5FeedForward(c, block.below("layer.2."))};
}

T5Decoder::T5Decoder(const T5Config& c, at::Tensor embedding, const T5Source& stack)
    : config_(c),
      heads_(heads_of(c)),
      embedding_(std::move(embedding)),
      positions_(c, /*bidirectional=*/false, stack(kBias, {c.buckets, c.heads})) {
  for (int64_t i = 0; i < c.decoder_layers; ++i)
    blocks_.push_back(make_block(c, stack.below(block_name(i))));
  norm_ = stack("final_layer_norm.weight", {c.hidden_size});
}

T5Memory T5Decoder::remember(const at::Tensor& states) const {
  const at::NoGradGuard no_grad;
  T5Memory memory;
  for (const auto& block : blocks_)
    memory.layers.push_back(nn::linear(states, block.cross_keys_values).to(kept_dtype(embedding_)));
  return memory;
}

T5Cache T5Decoder::make_cache(int64_t rows, int64_t capacity) const {
  T5Cache cache{.rows = rows, .capacity = capacity};
  for (size_t i = 0; i < blocks_.size(); ++i) {
    cache.layers.push_back(at::empty({rows * capacity, 2 * inner_size(config_)},
                                     embedding_.options().dtype(kept_dtype(embedding_))));
  }
  return cache;
}

at::Tensor T5Decoder::decode(const at::Tensor& ids, const T5Step& step, const T5Memory& memory,
                             T5Cache& cache) const {
  const at::NoGradGuard no_grad;
  const auto bias = positions_.bias(step.self.most_keys);
  const int64_t width = inner_size(config_);
  const double eps = config_.norm_eps;
  at::Tensor x = at::embedding(embedding_, ids);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const auto& block = blocks_[i];
    const auto qkv = nn::linear(nn::rms_norm(x, block.attention.norm, eps), block.attention.qkv);
    auto& kept = cache.layers[i];
    kept.index_copy_(0, step.slots, qkv.narrow(1, width, 2 * width).to(kept.scalar_type()));
    auto seen = nn::biased_attention(
        {part(qkv, 0, width), part(kept, 0, width), part(kept, 1, width)}, heads_, step.self, bias);
    x = nn::linear(seen, block.attention.output).add_(x);
    const auto query = nn::linear(nn::rms_norm(x, block.cross_norm, eps), block.cross_query);
    const auto& source = memory.layers[i];
    seen = nn::biased_attention({query, part(source, 0, width), part(source, 1, width)}, heads_,
                                step.cross, {});
    x = block.feed_forward(nn::linear(seen, block.cross_output).add_(x));
  }
  x = nn::rms_norm(x, norm_, eps);
  return config_.scaled_output ? x * std::pow(static_cast<double>(config_.hidden_size), -0.5) : x;
}

}  // namespace preimage::lm
