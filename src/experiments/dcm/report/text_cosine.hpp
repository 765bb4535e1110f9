// How near two texts are in meaning: the cosine of their embeddings by a sentence encoder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "preimage/lm/encoder/text_embedder.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::dcm {

class TextCosine {
 public:
  using Pair = std::pair<std::string, std::string>;

  // Any folder that `preimage embed` reads: with its own pipeline where it describes one, else the
  // mean over its tokens. Reads no weights. ExitCode::bad_config, bad_data: what is missing or
  // wrong.
  explicit TextCosine(const std::filesystem::path& folder);
  // float32.
  void load(at::Device device);
  // NaN where one of the texts has no token. Texts longer than the encoder's context are cut at
  // their end. Of a pair, whatever the others are.
  std::vector<double> of(const std::vector<Pair>& pairs) const;

 private:
  lm::SentenceTokens tokens(const std::string& text) const;

  lm::TextEmbedder embedder_;
  text::Tokenizer tokenizer_;
};

}  // namespace preimage::dcm
