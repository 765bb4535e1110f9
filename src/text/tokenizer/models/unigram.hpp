// The Unigram language model of subwords (Kudo, "Subword regularization", ACL 2018): the
// segmentation whose pieces have the largest sum of log-probabilities.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tokenizer/model.hpp"

namespace preimage::text {

struct UnigramPiece {
  std::string text;
  double score = 0;
  bool usable = true;  // may be found in text (SentencePiece: not control, unknown, unused, byte)
  bool ranked = true;  // its score counts for the least score
};

struct UnigramOptions {
  std::optional<uint32_t> unk;
  bool byte_fallback = false;
  // Arithmetic of sentencepiece: the scores of paths are kept in float32. Otherwise that of the
  // tokenizers library: float64.
  bool single_precision = false;
};

// The id of a piece is its place. `place` starts messages about text that the model cannot encode.
std::unique_ptr<const Model> make_unigram(std::vector<UnigramPiece> pieces, UnigramOptions options,
                                          std::string place);

}  // namespace preimage::text
