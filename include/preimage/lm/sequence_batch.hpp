// A batch of growing sequences of a decoder or an encoder-decoder, row by row: what searches that
// fork and drop sequences (beams) step through. A row's logits do not depend on the other rows.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/model.hpp"
#include "preimage/lm/t5/t5.hpp"

namespace preimage::lm {

// What a sequence starts from: of a decoder its first tokens, of an encoder-decoder what the
// encoder reads. Embeddings [tokens, d] come before ids; at least one token in all.
struct SearchPrompt {
  std::vector<int64_t> ids;
  at::Tensor embeddings;
  int64_t tokens() const;
};

class SequenceBatch {
 public:
  virtual ~SequenceBatch() = default;
  virtual int64_t vocab_size() const = 0;
  // The tokens that a penalty on repetition counts before the first generated one.
  virtual std::vector<int64_t> said(const SearchPrompt& prompt) const = 0;
  // Adds a row for each prompt behind the rows there are -> logits [prompts, V] float32 of their
  // first generated tokens.
  virtual at::Tensor start(const std::vector<const SearchPrompt*>& prompts) = 0;
  // Row i of the batch becomes row parents[i] of the batch before, continued by tokens[i]; rows
  // that are nobody's parent are forgotten -> logits [rows, V] float32 of the tokens that follow.
  virtual at::Tensor advance(const std::vector<int64_t>& parents,
                             const std::vector<int64_t>& tokens) = 0;
};

std::unique_ptr<SequenceBatch> make_sequence_batch(const T5Model& model);
// `rows` sequences of at most `tokens` tokens each, prompts included, fit its cache.
std::unique_ptr<SequenceBatch> make_sequence_batch(const Model& model, int64_t rows,
                                                   int64_t tokens);

// A search over one request's rows: beams, or one sequence.
class RowSearch {
 public:
  virtual ~RowSearch() = default;
  virtual const SearchPrompt& prompt() const = 0;
  virtual int64_t most_rows() const = 0;
  // (row of this search, token): the rows that go on, after the last logits were taken. Empty: it
  // is finished.
  struct Step {
    int64_t parent, token;
  };
  virtual const std::vector<Step>& next() const = 0;
};

// Chooses next steps: logits [rows, V] of the searches' rows, in the order of the searches; a
// search has one row at first and next().size() rows then.
class RowChooser {
 public:
  virtual ~RowChooser() = default;
  virtual void choose(const std::vector<RowSearch*>& searches, const at::Tensor& logits) = 0;
};

struct SearchOptions {
  int64_t rows = 256;             // sequences in flight, beams counted one by one
  int64_t prefill_tokens = 8192;  // prompt tokens put through the model at once
};

// Runs all searches to their end; a finished one makes room for the next.
void run_searches(SequenceBatch& batch, const std::vector<RowSearch*>& searches,
                  RowChooser& chooser, const SearchOptions& options);

}  // namespace preimage::lm
