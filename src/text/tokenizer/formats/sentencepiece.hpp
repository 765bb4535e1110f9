// The model files of SentencePiece ("tokenizer.model", "spiece.model").
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace preimage::text {

struct SentencePiece {
  enum class Type : uint8_t { normal = 1, unknown, control, user_defined, unused, byte };
  std::string text;
  float score = 0;
  Type type = Type::normal;
};

// The fields of sentencepiece_model.proto that decide ids and texts.
struct SentencePieceModel {
  enum class Kind : uint8_t { unigram = 1, bpe = 2 };
  std::vector<SentencePiece> pieces;
  Kind kind = Kind::unigram;
  bool byte_fallback = false;
  bool whitespace_as_suffix = false;
  std::string charsmap;
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
};

// Reads the protobuf message. ExitCode::bad_data: `place`, byte, what was found.
SentencePieceModel read_sentencepiece(std::string_view bytes, const std::string& place);

}  // namespace preimage::text
