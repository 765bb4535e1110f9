// The two stacks of T5: pre-norm blocks without biases, whose only notion of position is a bias on
// the attention scores.
#pragma once

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "preimage/lm/t5/t5.hpp"

namespace preimage::lm {

// Names and shapes of one stack ("encoder." or "decoder."), the embedding not among them.
TensorList t5_stack_tensors(const T5Config& config, const std::string& stack);

// Asks a source for tensors below a prefix.
struct T5Source {
  const TensorSource& source;
  std::string prefix;
  at::Tensor operator()(const std::string& name, at::IntArrayRef shape) const {
    return source(prefix + name, shape);
  }
  T5Source below(const std::string& more) const { return {source, prefix + more}; }
};

// The bias of block 0, spread over distances: it serves every block of its stack.
class T5Positions {
 public:
  T5Positions(const T5Config& config, bool bidirectional, at::Tensor buckets);
  // Covers spans of up to `length` keys.
  nn::RelativeBias bias(int64_t length) const;

 private:
  int64_t max_distance_;
  bool bidirectional_;
  at::Tensor buckets_;  // [buckets, heads]
  mutable std::mutex mutex_;
  mutable nn::RelativeBias grown_;
};

struct T5SelfAttention {
  T5SelfAttention(const T5Config& config, const T5Source& layer);
  at::Tensor norm;         // [d]
  nn::Weight qkv, output;  // [3 * heads * head_dim, d], [d, heads * head_dim]
};

class T5FeedForward {
 public:
  T5FeedForward(const T5Config& config, const T5Source& layer);
  at::Tensor operator()(const at::Tensor& x) const;  // x + wo(activation(wi(norm(x))))

 private:
  bool gated_;
  double eps_;
  at::Tensor norm_;
  nn::Weight in_, out_;  // gated: wi_0 and wi_1 in one
};

class T5Encoder : public Encoder {
 public:
  // `stack` names the tensors directly below it ("encoder.block.0...").
  T5Encoder(const T5Config& config, at::Tensor embedding, const T5Source& stack);
  const EncoderConfig& config() const override { return config_; }
  at::ScalarType dtype() const override { return embedding_.scalar_type(); }
  at::Device device() const override { return embedding_.device(); }
  at::Tensor embed(const at::Tensor& ids) const override;
  at::Tensor hidden(const at::Tensor& x, const nn::Packing& packing) const override;
  // One sequence whose rows stand at `places` [rows] int64, ascending: between them are tokens that
  // a mask hides.
  at::Tensor hidden_at(const at::Tensor& x, const at::Tensor& places) const;

 private:
  struct Block {
    T5SelfAttention attention;
    T5FeedForward feed_forward;
  };
  // attend(qkv) is all that differs between the two forms.
  template <class Attend>
  at::Tensor blocks(at::Tensor x, const Attend& attend) const;

  EncoderConfig config_;
  nn::FullHeads heads_;
  double eps_;
  at::Tensor embedding_;  // [V, d]
  T5Positions positions_;
  std::vector<Block> blocks_;
  at::Tensor norm_;
};

class T5Decoder {
 public:
  T5Decoder(const T5Config& config, at::Tensor embedding, const T5Source& stack);
  T5Memory remember(const at::Tensor& states) const;
  T5Cache make_cache(int64_t rows, int64_t capacity) const;
  at::Tensor decode(const at::Tensor& ids, const T5Step& step, const T5Memory& memory,
                    T5Cache& cache) const;

 private:
  struct Block {
    T5SelfAttention attention;
    at::Tensor cross_norm;
    nn::Weight cross_query, cross_keys_values, cross_output;
    T5FeedForward feed_forward;
  };
  static Block make_block(const T5Config& config, const T5Source& block);

  T5Config config_;
  nn::FullHeads heads_;
  at::Tensor embedding_;
  T5Positions positions_;
  std::vector<Block> blocks_;
  at::Tensor norm_;
};

}  // namespace preimage::lm
