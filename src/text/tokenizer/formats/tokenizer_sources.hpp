// Where the stages of a tokenizer come from: tokenizer.json, or the older files of a checkpoint.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "tokenizer/tokenizer_parts.hpp"

namespace preimage::text {

constexpr uint64_t kTokenizerBytes = 200ull << 20;
constexpr uint64_t kTokenizerConfigBytes = 16ull << 20;

// Each gives all stages but the added tokens.
std::unique_ptr<Tokenizer::Parts> sentencepiece_parts(std::string_view bytes,
                                                      const std::string& place);
// `pattern` (of Oniguruma) cuts the text; `nfc`: normalize before.
std::unique_ptr<Tokenizer::Parts> tiktoken_parts(std::string_view lines, const std::string& pattern,
                                                 bool nfc, const std::string& place);

// Adds the tokens that are cut out of the text, and the tables from ids to texts.
void add_tokens(Tokenizer::Parts& parts, std::vector<AddedToken> tokens, const std::string& place);

// From a whole tokenizer.json.
std::unique_ptr<Tokenizer::Parts> json_parts(const base::Json& document, const std::string& place);

// From tokenizer.model, spiece.model, *.tiktoken, vocab.txt, or vocab.json and merges.txt, with
// what tokenizer_config.json says. ExitCode::bad_data where the folder has none of them.
std::unique_ptr<Tokenizer::Parts> parts_from_old_files(const std::filesystem::path& folder);

}  // namespace preimage::text
