// Generation and scoring with an encoder-decoder: the requests of decoders, whose prompt the
// encoder reads; the decoder begins with its start token.
#pragma once

#include <vector>

#include "preimage/lm/generate/generate.hpp"
#include "preimage/lm/score.hpp"
#include "preimage/lm/t5/t5.hpp"

namespace preimage::lm {

// As lm::generate for decoders; request.embeddings are encoder inputs [tokens, d] before ids.
std::vector<Completion> generate(const T5Model& model, const std::vector<GenerateRequest>& requests,
                                 const GenerateOptions& options);

// As lm::score for decoders: the first token of a continuation follows the start token.
std::vector<Score> score(const T5Model& model, const std::vector<ScoreRequest>& requests,
                         const ScoreOptions& options);

}  // namespace preimage::lm
