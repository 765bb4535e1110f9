// Where the stages of a tokenizer come from: tokenizer.json, or the older files of a checkpoint.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "tokenizer/formats/json_tables.hpp"
#include "tokenizer/formats/tokenizer_config.hpp"
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

// Stages and added tokens of a whole tokenizer.json. `tables`: what was cut out of the document.
std::unique_ptr<Tokenizer::Parts> json_parts(const base::Json& document, const std::string& place,
                                             JsonTables* tables = nullptr);

// From tokenizer.model, spiece.model, *.tiktoken, vocab.txt, or vocab.json and merges.txt.
// ExitCode::bad_data where the folder has none of them.
std::unique_ptr<Tokenizer::Parts> parts_from_old_files(const std::filesystem::path& folder,
                                                       const TokenizerConfig& config);

// Sets in a tokenizer.json what its class takes from tokenizer_config.json alone, present or not.
void apply_class(const std::filesystem::path& folder, const TokenizerConfig& config,
                 base::Json& document, std::vector<std::string>& warnings);

// Adds the tokens that the configuration lists or names, and takes its settings.
void apply_config(Tokenizer::Parts& parts, const TokenizerConfig& config);

// Makes the matchers of the added tokens, and the tables from ids to texts: the last step.
void index_tokens(Tokenizer::Parts& parts);

}  // namespace preimage::text
