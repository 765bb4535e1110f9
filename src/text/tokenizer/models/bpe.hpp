// Byte pair encoding from other sources than the "merges" of a tokenizer.json.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tokenizer/model.hpp"

namespace preimage::text {

struct BpeOptions {
  std::optional<uint32_t> unk;
  std::string prefix, suffix;  // continuing_subword_prefix, end_of_word_suffix
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;
};

// Merges every two neighbouring tokens whose concatenation is a token too, that of the lowest rank
// first: how tiktoken (rank: the id) and SentencePiece (rank: the place by falling score) define
// their BPE. `ranks[id]` UINT32_MAX: never made by a merge.
std::unique_ptr<const Model> make_bpe_by_rank(Vocabulary vocabulary,
                                              const std::vector<uint32_t>& ranks,
                                              BpeOptions options);

}  // namespace preimage::text
