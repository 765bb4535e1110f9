// What generation and scoring with T5 share: checking requests, and reading their prompts.
#pragma once

#include <string>
#include <vector>

#include "preimage/lm/sequence_batch.hpp"
#include "preimage/lm/t5.hpp"

namespace preimage::lm {

int64_t prompt_tokens(const std::vector<int64_t>& ids, const at::Tensor& embeddings);

// Throws ExitCode::bad_data with `what` ("request 3") unless each id is in the vocabulary.
void require_ids(const T5Config& config, const std::vector<int64_t>& ids, const std::string& what);
// The same, and there is a token to read, and embeddings are [tokens, d].
void require_source(const T5Config& config, const SearchPrompt& prompt, const std::string& what);

// Encoder states [tokens, d] of the prompts, end to end.
at::Tensor encoder_states(const T5Model& model, const std::vector<SearchPrompt>& prompts);

}  // namespace preimage::lm
