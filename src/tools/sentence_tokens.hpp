// The tokens of a sentence as a sentence-transformers pipeline makes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/lm/encoder/sentence_pipeline.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::tools {

// Strips the text of white space at its ends, lowers it where the pipeline says so, adds special
// tokens, and takes tokens from the end of the text until all fit the pipeline's limit.
std::vector<int64_t> pipeline_tokens(const text::Tokenizer& tokenizer, const std::string& text,
                                     const lm::SentencePipeline& pipeline);

}  // namespace preimage::tools
