// Encoder-decoders behind the engine tools: T5, and vec2text, whose encoder reads an embedding.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "preimage/lm/sequence_batch.hpp"
#include "preimage/lm/t5/vec2text.hpp"

namespace preimage::tools {

// What a line gives beside its tokens.
struct EmbeddingFields {
  std::vector<float> embedding;   // of the text that is wanted; empty without one
  std::vector<float> hypothesis;  // of the text that a corrector is to better
};

class Seq2Seq {
 public:
  // Whether the folder holds an encoder-decoder; then its sizes are read.
  bool prepare(const std::filesystem::path& folder);
  void load(const lm::LoadOptions& options);

  bool here() const { return here_; }
  // Vocabulary, stop ids and width, for what reads lines.
  const lm::ModelConfig& token_config() const { return tokens_; }
  const lm::Vec2Text& vec2text() const { return *vec2text_; }
  const lm::T5Model& model() const { return vec2text_ ? vec2text_->t5() : *t5_; }

  // Fields `embedding` and `hypothesis_embedding`: a vec2text model needs them, others refuse them.
  EmbeddingFields read_embedding(const base::JsonNode& line) const;
  // What the encoder reads. A corrector's hypothesis comes as the prompt's ids.
  lm::SearchPrompt prompt(std::vector<int64_t> ids, const EmbeddingFields& fields) const;
  bool reads_embeddings() const { return config_.has_value(); }
  bool reads_tokens() const { return !config_ || config_->corrector; }

 private:
  std::vector<float> vector_of(const base::JsonNode& line, const char* name) const;

  std::filesystem::path folder_;
  bool here_ = false;
  lm::ModelConfig tokens_;
  std::optional<lm::Vec2TextConfig> config_;  // of a vec2text folder
  std::shared_ptr<const lm::T5Model> t5_;
  std::shared_ptr<const lm::Vec2Text> vec2text_;
};

}  // namespace preimage::tools
