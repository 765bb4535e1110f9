#include "token_rows.hpp"

#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {

int64_t embedded_tokens(const at::Tensor& embeddings) {
  return embeddings.defined() ? embeddings.size(0) : 0;
}

void require_sequence(const ModelConfig& config, const SequenceView& sequence, int64_t tokens,
                      const std::string& what) {
  const auto& embeddings = *sequence.embeddings;
  if (embeddings.defined() && (embeddings.dim() != 2 || embeddings.size(1) != config.hidden_size)) {
    std::string shape;
    for (const int64_t size : embeddings.sizes())
      shape += (shape.empty() ? "" : ", ") + std::to_string(size);
    throw base::data_error(base::str(what, ": found embeddings [", shape, "], expected [tokens, ",
                                     config.hidden_size, "]"));
  }
  for (int64_t i = 0; i < sequence.id_count; ++i) {
    if (sequence.ids[i] < 0 || sequence.ids[i] >= config.vocab_size) {
      throw base::data_error(base::str(what, ": found token id ", sequence.ids[i],
                                       ", expected one of 0 to ", config.vocab_size - 1));
    }
  }
  if (tokens > config.max_position_embeddings) {
    throw base::data_error(base::str(
        what, ": needs ", tokens, " tokens, the model's context holds ",
        config.max_position_embeddings, "; shorten the prompt or ask for fewer new tokens"));
  }
}

at::Tensor packed_embeddings(const Model& model, const std::vector<SequenceView>& sequences) {
  std::vector<int64_t> ids;
  bool any_embeddings = false;
  for (const auto& sequence : sequences) {
    ids.insert(ids.end(), sequence.ids, sequence.ids + sequence.id_count);
    any_embeddings |= sequence.embeddings->defined();
  }
  const auto embedded = model.embed(at::tensor(ids, at::kLong).to(model.device()));
  if (!any_embeddings) return embedded;
  std::vector<at::Tensor> parts;
  int64_t first = 0;
  for (const auto& sequence : sequences) {
    if (sequence.embeddings->defined())
      parts.push_back(sequence.embeddings->to(model.device(), model.dtype()));
    parts.push_back(embedded.narrow(0, first, sequence.id_count));
    first += sequence.id_count;
  }
  return at::cat(parts);
}

std::vector<std::pair<int64_t, int64_t>> token_batches(const std::vector<int64_t>& tokens,
                                                       int64_t most) {
  std::vector<std::pair<int64_t, int64_t>> batches;
  const auto count = static_cast<int64_t>(tokens.size());
  for (int64_t begin = 0; begin < count;) {
    int64_t end = begin, sum = 0;
    do {
      sum += tokens[end++];
    } while (end < count && sum + tokens[end] <= most);
    batches.emplace_back(begin, end);
    begin = end;
  }
  return batches;
}

at::Tensor row_logits(const Model& model, const at::Tensor& hidden) {
  return nn::linear(hidden, model.head()).to(at::kFloat);
}

int64_t rows_at_once(const ModelConfig& config) {
  constexpr int64_t kLogits = int64_t{1} << 25;
  return std::max<int64_t>(1, kLogits / config.vocab_size);
}

std::vector<std::pair<int64_t, float>> best_of_row(const float* row, int64_t size, int64_t count) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  count = std::min(count, size);
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int64_t a, int64_t b) {
    return row[a] != row[b] ? row[a] > row[b] : a < b;
  });
  std::vector<std::pair<int64_t, float>> best;
  for (int64_t i = 0; i < count; ++i) best.emplace_back(order[i], row[order[i]]);
  return best;
}

}  // namespace preimage::lm
