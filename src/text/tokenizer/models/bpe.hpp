// Byte pair encoding from other sources than the "merges" of a tokenizer.json.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/model.hpp"
#include "tokenizer/models/byte_trie.hpp"

namespace preimage::text {

struct BpeOptions {
  std::optional<uint32_t> unk;
  std::string missing_unk;  // the unk_token where it is no token: an unknown character is an error
  std::string prefix, suffix;  // continuing_subword_prefix, end_of_word_suffix
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;
  // SentencePiece: texts that are one symbol wherever they stand and never merge, with their ids;
  // and by id, tokens that merges may pass through and that are no result.
  std::shared_ptr<const ByteTrie> frozen;
  std::vector<bool> unused;
  std::vector<std::string> texts;  // of all tokens, where some are unused
};

// Merges every two neighbouring tokens whose concatenation is a token too, that of the lowest rank
// first: how tiktoken (rank: the id) and SentencePiece (rank: the place by falling score) define
// their BPE. `ranks[id]` UINT32_MAX: never made by a merge.
std::unique_ptr<const Model> make_bpe_by_rank(Vocabulary vocabulary,
                                              const std::vector<uint32_t>& ranks,
                                              BpeOptions options);

}  // namespace preimage::text
