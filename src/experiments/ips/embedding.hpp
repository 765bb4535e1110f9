// Prompts and programs as vectors: for the copy term, and for telling prompts apart by meaning.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "preimage/eval/text_model.hpp"
#include "preimage/lm/encoder/text_embedder.hpp"

namespace preimage::ips {

using Vector = std::vector<double>;  // of length 1

// Cosine of two vectors of length 1, summed in order.
double cosine(const Vector& a, const Vector& b);

// A text encoder with its tokenizer, loaded once a process.
struct TextEncoder {
  lm::TextEmbedder embedder;
  text::Tokenizer tokenizer;
};
std::shared_ptr<const TextEncoder> load_text_encoder(const std::filesystem::path& folder,
                                                     at::Device device);

class Embedding {
 public:
  // Without an encoder: the mean over the last hidden states of the frozen model itself, which
  // must outlive it. Those of a decoder point mostly one way; the copy term subtracts what
  // unrelated texts have in common.
  Embedding(const eval::TextModel& model, std::shared_ptr<const TextEncoder> encoder)
      : model_(model), encoder_(std::move(encoder)) {}

  // One for each text; a text without a token gives zeros. A vector's bits do not depend on the
  // others.
  std::vector<Vector> operator()(const std::vector<std::string>& texts) const;
  std::string name() const { return encoder_ ? "encoder" : "model"; }

 private:
  std::vector<std::vector<float>> raw(const std::vector<lm::SentenceTokens>& batch) const;
  lm::SentenceTokens tokens(const std::string& text) const;

  const eval::TextModel& model_;
  std::shared_ptr<const TextEncoder> encoder_;
};

}  // namespace preimage::ips
