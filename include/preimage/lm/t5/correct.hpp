// vec2text's way back from an embedding to a text (Morris et al. 2023, section 3): a first guess by
// the inversion model, and corrections of it, each from the difference that re-embedding shows.
#pragma once

#include <string>
#include <vector>

#include "preimage/lm/encoder/encoder.hpp"
#include "preimage/lm/generate/beam_search.hpp"
#include "preimage/lm/t5/vec2text.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::lm {

struct Inverter {
  const Vec2Text& inversion;
  const Vec2Text& corrector;
  const Encoder& embedder;           // a text's embedding is the bare mean of its hidden states
  const text::Tokenizer& tokenizer;  // of all three
};

struct CorrectionRequest {
  at::Tensor embedding;        // [d] float32: of the text that is wanted
  int64_t steps = 1;           // corrections
  int64_t sequence_beams = 0;  // texts that are kept after each step, ranked by their cosine to the
                               // embedding; 0: one, and the newest is kept though it be worse
  BeamRequest search;          // how a step decodes; prompt and numbers of beams are not read. At
                               // most 127 new tokens are the published loop's
};

struct Corrected {
  Hypothesis hypothesis;
  std::string text;
  float cosine = 0;  // between its embedding and the one that is wanted
};

// For each request the text that its last step keeps. All requests go through a step together; a
// request's result does not depend on the others. ExitCode::bad_data for embeddings of another
// width.
std::vector<Corrected> correct(const Inverter& inverter,
                               const std::vector<CorrectionRequest>& requests,
                               const SearchOptions& options = {});

}  // namespace preimage::lm
