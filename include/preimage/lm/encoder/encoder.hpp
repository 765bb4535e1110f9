// Frozen text encoders: token ids in, one hidden state for each token out. Every token sees its
// whole sequence. Sequences lie end to end without padding, so a sentence's bits do not depend on
// the batch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/model.hpp"
#include "preimage/nn/attention.hpp"

namespace preimage::lm {

struct EncoderConfig {
  std::string family;  // "t5" | "bert" | "modernbert"
  int64_t hidden_size = 0, vocab_size = 0;
  int64_t max_tokens =
      0;  // positions that the model has; 0: no limit of its own (relative positions)
  std::vector<std::string> notes;  // for the user: a line each
};

class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual const EncoderConfig& config() const = 0;
  virtual at::ScalarType dtype() const = 0;
  virtual at::Device device() const = 0;

  // ids [tokens] int64 -> [tokens, d]: rows of the word embedding, in the model's dtype.
  virtual at::Tensor embed(const at::Tensor& ids) const = 0;
  // Embeddings [tokens, d] of packed sequences -> final hidden states [tokens, d]. No gradient.
  virtual at::Tensor hidden(const at::Tensor& x, const nn::Packing& packing) const = 0;
};

// Whether config.json names a family of encoders or encoder-decoders; false for decoders and for a
// folder without config.json.
bool is_encoder_folder(const std::filesystem::path& folder);

// Sizes from config.json alone. ExitCode::bad_data as for decoders: file, key, found, expected.
EncoderConfig read_encoder_config(const std::filesystem::path& folder);

// Loads the encoder of a T5, BERT or ModernBERT folder; of an encoder-decoder, its encoder alone.
std::shared_ptr<const Encoder> load_encoder(const std::filesystem::path& folder,
                                            const LoadOptions& options);

}  // namespace preimage::lm
