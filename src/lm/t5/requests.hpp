// What generation and scoring with T5 share: checking requests, and reading their prompts.
#pragma once

#include <string>
#include <vector>

#include "preimage/lm/sequence_batch.hpp"
#include "preimage/lm/t5/t5.hpp"

namespace preimage::lm {

int64_t prompt_tokens(const std::vector<int64_t>& ids, const at::Tensor& embeddings);

// Throws ExitCode::bad_data with `what` ("request 3") unless each id is in the vocabulary.
void require_ids(const T5Config& config, const std::vector<int64_t>& ids, const std::string& what);
// The same, and there is a token to read, and embeddings are [tokens, d].
void require_source(const T5Config& config, const SearchPrompt& prompt, const std::string& what);

// Encoder states of prompts, end to end, and how many each has. A row of NaN among the embeddings
// is a token that nobody sees, as a mask hides it: it has no state, but the rows behind it stand
// one place further.
struct SourceStates {
  at::Tensor states;  // [tokens, d]
  std::vector<int64_t> lengths;
};
SourceStates encoder_states(const T5Model& model, const std::vector<SearchPrompt>& prompts);

}  // namespace preimage::lm
