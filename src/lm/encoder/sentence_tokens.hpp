// The tokens of a sentence as a sentence-transformers pipeline makes them.
#pragma once

#include <string>

#include "preimage/lm/encoder/sentence_pipeline.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::lm {

// The prompt (perhaps empty) in front of the text, lowered where the pipeline says so, special
// tokens around both, and tokens of the text taken away until all fit the pipeline's limit.
SentenceTokens pipeline_tokens(const text::Tokenizer& tokenizer, const std::string& prompt,
                               const std::string& text, const SentenceText& settings);

}  // namespace preimage::lm
