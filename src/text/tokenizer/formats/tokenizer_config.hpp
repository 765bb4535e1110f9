// tokenizer_config.json, special_tokens_map.json and added_tokens.json of a checkpoint, read here
// and nowhere else, with the meaning that transformers 5 gives them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/added_tokens.hpp"

namespace preimage::text {

struct ListedToken {
  uint32_t id;  // as written: the tokenizer gives its own
  AddedToken token;
};

struct TokenizerConfig {
  std::string place;  // of tokenizer_config.json, for messages
  base::Json json;    // tokenizer_config.json whole, or {}: what only one format or class reads
  base::JsonNode node() const { return {json, place}; }

  // Special tokens by name: the seven standard ones ("bos_token", ...) in their order, then those
  // of the checkpoint's own ("image_token", members of extra_special_tokens).
  std::vector<std::pair<std::string, AddedToken>> named;
  std::vector<AddedToken> extra;    // special tokens without a name
  std::vector<ListedToken> listed;  // added_tokens_decoder by id, or added_tokens.json
  bool lists_tokens = false;  // there is an added_tokens_decoder: it stands for the other files
  // Chat templates by name; one alone is "default".
  std::vector<std::pair<std::string, std::string>> templates;
  std::string tokenizer_class,
      family;                         // the class; with the module of its code, where there is one
  bool split_special_tokens = false;  // special tokens in a text are ordinary text
  bool clean_up = false, clean_up_bpe = false;  // spaces of decoded text
  std::optional<bool> truncates_left;
  std::optional<int64_t> max_length;  // model_max_length, where it is a limit
  std::vector<std::string> warnings;

  const AddedToken* find(std::string_view name) const;
};

// ExitCode::bad_data: file, key, what was found, what is supported.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder);

// What becomes of a key of tokenizer_config.json.
enum class TokenizerKey : uint8_t { unknown, used, without_effect, refused };
TokenizerKey tokenizer_key(std::string_view key);

}  // namespace preimage::text
