// What generation and scoring share: sequences into packed embeddings, hidden rows into
// log-probabilities.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/model.hpp"

namespace preimage::lm {

// Embeddings first (may be undefined), then ids.
struct SequenceView {
  const at::Tensor* embeddings;
  const int64_t* ids;
  int64_t id_count;
};

int64_t embedded_tokens(const at::Tensor& embeddings);

// Throws ExitCode::bad_data with `what` ("request 3") unless the embeddings are [tokens, d], each
// id is in the vocabulary, and `tokens` in all fit the context.
void require_sequence(const ModelConfig& config, const SequenceView& sequence, int64_t tokens,
                      const std::string& what);

// [tokens, d] in the model's dtype, sequences end to end.
at::Tensor packed_embeddings(const Model& model, const std::vector<SequenceView>& sequences);

// Neighbours [begin, end) that go through a model together: as many as hold at most `most` tokens,
// and at least one.
std::vector<std::pair<int64_t, int64_t>> token_batches(const std::vector<int64_t>& tokens,
                                                       int64_t most);

// Logits of hidden rows [n, d], as float32 [n, V]: computed in the model's dtype, as the published
// models are. Each row on its own.
at::Tensor row_logits(const Model& model, const at::Tensor& hidden);

// Rows of logits that are formed at once: 128 MiB of float32.
int64_t rows_at_once(const ModelConfig& config);

// The `count` largest of one float32 row on the CPU; of equal ones the lower index first.
std::vector<std::pair<int64_t, float>> best_of_row(const float* row, int64_t size, int64_t count);

}  // namespace preimage::lm
