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

// The class that transformers 5 reads a folder's tokenizer.json with, without "Fast"; "" for one
// that takes the file as it is.
std::string class_of(const std::filesystem::path& folder, const TokenizerConfig& config,
                     const base::Json& document);
// Sets in a tokenizer.json what that class brings itself, present or not.
void apply_class(const std::string& name, const TokenizerConfig& config, base::Json& document,
                 std::vector<std::string>& warnings);
// The special tokens that the class has where the configuration says nothing of them.
void add_class_tokens(const std::string& name, TokenizerConfig& config);
// The tokens that the class puts around a text, whatever the file says; after all tokens are there.
void set_class_ends(const std::string& name, const TokenizerConfig& config,
                    Tokenizer::Parts& parts);

// Adds the tokens that the configuration lists or names, and takes its settings.
void apply_config(Tokenizer::Parts& parts, const TokenizerConfig& config);

// Makes the matchers of the added tokens, and the tables from ids to texts: the last step.
void index_tokens(Tokenizer::Parts& parts);

}  // namespace preimage::text
