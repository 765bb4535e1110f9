// From an embedding to words and back: the sentence encoder and vec2text.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/config.hpp"
#include "preimage/lm/encoder/text_embedder.hpp"
#include "preimage/lm/t5/vec2text.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::lipo {

struct InverterConfig {
  std::string embedder;  // folder of the sentence encoder
  std::string pooling =
      "pipeline";         // or mean: vec2text's "gtr_base" is GTR without Dense, Normalize
  std::string model;      // folder of the inversion model
  std::string corrector;  // folder of the corrector; "": the inversion model alone
  int64_t beam = 8;
  int64_t max_length = 128;  // tokens, the start token counted
  int64_t no_repeat_ngram = 3;
  double repetition_penalty = 1.2;
  int64_t steps = 50;         // corrections
  int64_t sequence_beam = 8;  // texts kept after each correction
  void fields(base::Fields& f);
};

class TextInverter {
 public:
  // Loads the models. ExitCode::bad_data where the inverter reads embeddings of another width than
  // the embedder's.
  TextInverter(const InverterConfig& config, at::Device device);

  int64_t embedding_dim() const { return inversion_->config().embedding_size; }
  // Embedding of each text [texts, d] float32 on the CPU; a text's bits do not depend on the
  // others.
  at::Tensor embed(const std::vector<std::string>& texts) const;
  // The text of each embedding [n, d], white space collapsed; "" where nothing was written.
  std::vector<std::string> invert(const at::Tensor& embeddings) const;

 private:
  InverterConfig config_;
  lm::TextEmbedder embedder_;
  std::optional<text::Tokenizer> embedder_tokenizer_, tokenizer_;
  std::shared_ptr<const lm::Vec2Text> inversion_, corrector_;
  std::shared_ptr<const lm::Encoder> corrector_embedder_;
};

}  // namespace preimage::lipo
