// Beam search over decoders and encoder-decoders, with the candidates, penalties and stopping rules
// of transformers' generate(num_beams > 1). A request's result does not depend on the others.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "preimage/lm/sequence_batch.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::lm {

// When the search of a request ends before its last token:
enum class EarlyStopping {
  no,    // no running beam beats the worst finished one at its present length
  yes,   // as many finished hypotheses as beams
  never  // no running beam can beat the worst finished one at any length
};

struct BeamRequest {
  SearchPrompt prompt;
  int64_t max_new_tokens = 128;
  int64_t beams = 4;
  int64_t returned = 1;  // best hypotheses; at most `beams`
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::no;
  // Both act on log-probabilities, the prompt of a decoder included: a token already there has its
  // log-probability multiplied by the penalty; one that would repeat an n-gram is impossible.
  double repetition_penalty = 1;
  int64_t no_repeat_ngram = 0;
  std::vector<int64_t> stop_ids;
  // A hypothesis also ends where its text holds one of these; they need a tokenizer, which must
  // outlive the search.
  std::vector<std::string> stop;
  const text::Tokenizer* tokenizer = nullptr;
};

struct Hypothesis {
  std::vector<int64_t> ids;     // a stop token not included, the tokens of a stop string included
  std::vector<float> logprobs;  // of each id, under the raw model
  // Sum of the penalised log-probabilities over (tokens ^ length_penalty), the stop token counted.
  float score = 0;
  std::string finish_reason;  // "eos" (a stop id), "stop" (a stop string) or "length"
  std::string text;           // of "stop": what stands before the stop string
};

// For each request its hypotheses, best first.
std::vector<std::vector<Hypothesis>> beam_search(SequenceBatch& batch,
                                                 const std::vector<BeamRequest>& requests,
                                                 const SearchOptions& options = {});

}  // namespace preimage::lm
