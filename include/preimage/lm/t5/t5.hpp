// T5 (Raffel et al. 2020) and T5 v1.1 (Shazeer 2020): an encoder, a decoder that attends to it, and
// the state of decoding.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/encoder/encoder.hpp"
#include "preimage/nn/biased_attention.hpp"

namespace preimage::lm {

struct T5Config {
  int64_t hidden_size = 0, head_dim = 0, heads = 0, intermediate_size = 0;
  int64_t layers = 0, decoder_layers = 0;
  int64_t vocab_size = 0;
  int64_t buckets = 32, max_distance = 128;  // of relative positions
  double norm_eps = 1e-6;
  bool gated = false;         // v1.1: gelu(wi_0 x) * wi_1 x; else relu(wi x)
  bool scaled_output = true;  // decoder states times hidden_size^-1/2 before the head
  bool own_head = false;      // lm_head.weight differs from the embedding
  int64_t pad_id = 0, start_id = 0;
  int64_t separator_id = 1;  // config.json's first end token: stands between vec2text's inputs
  std::vector<int64_t> eos_ids = {1};  // end a generation: as in ModelConfig
  std::vector<std::string> notes;      // for the user: a line each
  int64_t parameters() const;
};

// Bucket of a relative position (key - query), as the reference computes it.
int64_t relative_position_bucket(int64_t relative, bool bidirectional, int64_t buckets,
                                 int64_t max_distance);

// Keys and values of encoder states for each decoder layer: [source tokens, 2 * heads * head_dim],
// keys first.
struct T5Memory {
  std::vector<at::Tensor> layers;
};

// Keys and values of decoded tokens for each layer: [rows * capacity, 2 * heads * head_dim]; row r
// of a batch owns the slots from r * capacity on.
struct T5Cache {
  std::vector<at::Tensor> layers;
  int64_t rows = 0, capacity = 0;
};

// Where the new tokens of a batch stand: made once for all layers.
struct T5Step {
  nn::KeySpans self;   // causal, in slots of the cache
  nn::KeySpans cross;  // in rows of the memory; its sequences may join rows that share a source
  at::Tensor slots;    // [tokens] int64: where the new keys and values go
};

class T5Decoder;

class T5Model {
 public:
  // `prefix` stands before every name ("encoder_decoder." in vec2text).
  T5Model(const T5Config& config, const TensorSource& source, const std::string& prefix = "");
  ~T5Model();

  const T5Config& config() const { return config_; }
  const Encoder& encoder() const { return *encoder_; }
  at::ScalarType dtype() const { return encoder_->dtype(); }
  at::Device device() const { return encoder_->device(); }

  // Encoder states [tokens, d] -> what the decoder keeps of them.
  T5Memory remember(const at::Tensor& states) const;
  T5Cache make_cache(int64_t rows, int64_t capacity) const;
  // ids [tokens] of the new tokens -> hidden states [tokens, d], scaled for the head where the
  // model does so. Writes their keys and values into the cache. No gradient.
  at::Tensor decode(const at::Tensor& ids, const T5Step& step, const T5Memory& memory,
                    T5Cache& cache) const;
  // The vocabulary projection [V, d].
  const nn::Weight& head() const { return head_; }

 private:
  T5Config config_;
  std::shared_ptr<const Encoder> encoder_;
  std::unique_ptr<const T5Decoder> decoder_;
  nn::Weight head_;
};

// Whether the folder holds a T5 encoder-decoder, by config.json.
bool is_t5_folder(const std::filesystem::path& folder);
T5Config read_t5_config(const std::filesystem::path& folder);
std::shared_ptr<const T5Model> load_t5(const std::filesystem::path& folder,
                                       const LoadOptions& options);

}  // namespace preimage::lm
