// The stages of one tokenizer, in the order in which text passes them.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "preimage/text/tokenizer/tokenizer.hpp"
#include "tokenizer/added_tokens.hpp"
#include "tokenizer/decoder.hpp"
#include "tokenizer/model.hpp"
#include "tokenizer/normalizer.hpp"
#include "tokenizer/post_processor.hpp"
#include "tokenizer/pre_tokenizer.hpp"

namespace preimage::text {

struct Tokenizer::Parts {
  std::unique_ptr<const AddedTokenMatcher> raw_tokens;  // looked for in the raw text
  std::unique_ptr<const Normalizer> normalizer;         // may be null, like the next ones
  bool lowers = false;                                  // Lowercase is in it
  std::unique_ptr<const AddedTokenMatcher> normalized_tokens;
  std::unique_ptr<const PreTokenizer> pre_tokenizer;
  std::unique_ptr<const Model> model;
  std::unique_ptr<const PostProcessor> post_processor;
  std::unique_ptr<const Decoder> decoder;

  std::unique_ptr<AddedVocabulary> added;  // over the model's vocabulary
  // What a token contributes to decoding, by id; null where no token has it. An added token that is
  // looked for in normalized text stands there in its normalized form, as in the reference.
  std::vector<const std::string*> tokens;
  std::deque<std::string> normalized_texts;
  std::vector<std::pair<uint32_t, std::string>> decoded_forms;  // where a model prints others
  int64_t token_count = 0;
  std::unordered_set<int64_t> special_ids;
  std::unordered_set<int64_t> skipped_ids;  // what decoding without special tokens leaves out

  bool split_special = false;  // special tokens in a text are ordinary text
  bool clean_up = false;       // spaces that decoding leaves before punctuation
  SpecialTokens special;
  // A stage asks where in the input a piece began, and others may have moved that.
  bool needs_origin = false;
  std::string sha256;
  bool truncates_left = false;
  std::optional<int64_t> max_length;
  std::vector<std::string> warnings;

  const std::string* token(int64_t id) const {
    return id >= 0 && id < static_cast<int64_t>(tokens.size()) ? tokens[static_cast<size_t>(id)]
                                                               : nullptr;
  }
  std::optional<int64_t> id_of(std::string_view token) const {
    if (const auto id = added->id_of(token)) return *id;
    const auto& vocabulary = model->vocabulary();
    const auto it = vocabulary.find(token);
    return it == vocabulary.end() ? std::nullopt : std::optional<int64_t>(it->second);
  }
};

}  // namespace preimage::text
