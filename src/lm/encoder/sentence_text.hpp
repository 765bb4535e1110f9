// What a sentence-transformers folder says of texts: sentence_bert_config.json of its Transformer
// and the tokenizer's lengths.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "preimage/lm/encoder/sentence_pipeline.hpp"

namespace preimage::lm {

// `positions`: how many tokens the model can take; 0: any number. Lines for the user go to `notes`.
SentenceText read_sentence_text(const std::filesystem::path& transformer, int64_t positions,
                                std::vector<std::string>& notes);

}  // namespace preimage::lm
