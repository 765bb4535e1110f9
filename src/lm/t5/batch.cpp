#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>

#include "preimage/lm/sequence_batch.hpp"
#include "t5/requests.hpp"

namespace preimage::lm {
namespace {

// Tokens by which the cache of a row grows.
constexpr int64_t kBlock = 16;

int64_t round_up(int64_t tokens) {
  return (tokens + kBlock - 1) / kBlock * kBlock;
}

bool is_identity(const std::vector<int64_t>& parents, size_t rows) {
  if (parents.size() != rows) return false;
  for (size_t i = 0; i < rows; ++i) {
    if (parents[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

class T5Batch : public SequenceBatch {
 public:
  explicit T5Batch(const T5Model& model) : model_(model) {}

  int64_t vocab_size() const override { return model_.config().vocab_size; }
  std::vector<int64_t> said(const SearchPrompt&) const override {
    return {model_.config().start_id};
  }
  at::Tensor start(const std::vector<const SearchPrompt*>& prompts) override;
  at::Tensor advance(const std::vector<int64_t>& parents,
                     const std::vector<int64_t>& tokens) override;

 private:
  struct Row {
    nn::KeySpan source;  // in the memory
    int64_t tokens = 0;  // in the cache
  };
  void forget_sources();
  std::vector<int64_t> encode(const std::vector<const SearchPrompt*>& prompts);
  void select_rows(const std::vector<int64_t>& parents);
  at::Tensor step(size_t first_row, const std::vector<int64_t>& tokens);

  const T5Model& model_;
  std::vector<Row> rows_;
  T5Memory memory_;
  T5Cache cache_;
};

// Drops the memory that no row attends to.
void T5Batch::forget_sources() {
  if (memory_.layers.empty()) return;
  std::vector<int64_t> kept;
  nn::KeySpan last{-1, 0}, moved;
  for (auto& row : rows_) {
    if (row.source.begin != last.begin) {
      last = row.source;
      moved = {static_cast<int64_t>(kept.size()), last.count};
      for (int64_t i = 0; i < last.count; ++i) kept.push_back(last.begin + i);
    }
    row.source = moved;
  }
  const auto index = at::tensor(kept, at::kLong).to(model_.device());
  for (auto& layer : memory_.layers) layer = layer.index_select(0, index);
}

// Reads the prompts and appends what the decoder keeps of them to the memory -> its rows of each.
std::vector<int64_t> T5Batch::encode(const std::vector<const SearchPrompt*>& prompts) {
  std::vector<SearchPrompt> copies;
  for (const auto* prompt : prompts) copies.push_back(*prompt);
  auto sources = encoder_states(model_, copies);
  auto fresh = model_.remember(sources.states);
  for (size_t i = 0; i < memory_.layers.size(); ++i)
    fresh.layers[i] = at::cat({memory_.layers[i], fresh.layers[i]});
  memory_ = std::move(fresh);
  return std::move(sources.lengths);
}

at::Tensor T5Batch::start(const std::vector<const SearchPrompt*>& prompts) {
  forget_sources();
  int64_t place = memory_.layers.empty() ? 0 : memory_.layers[0].size(0);
  const auto lengths = encode(prompts);
  const size_t first = rows_.size();
  std::vector<int64_t> parents(first);
  std::iota(parents.begin(), parents.end(), 0);
  for (const int64_t length : lengths) {
    rows_.push_back({{place, length}, 0});
    place += length;
    parents.push_back(0);  // any row: a new one reads none of it
  }
  select_rows(parents);
  return step(first, std::vector<int64_t>(prompts.size(), model_.config().start_id));
}

at::Tensor T5Batch::advance(const std::vector<int64_t>& parents,
                            const std::vector<int64_t>& tokens) {
  std::vector<Row> rows;
  for (const int64_t parent : parents) rows.push_back(rows_[static_cast<size_t>(parent)]);
  const bool stays = is_identity(parents, rows_.size());
  rows_ = std::move(rows);
  if (rows_.empty()) return {};
  int64_t longest = 0;
  for (const auto& row : rows_) longest = std::max(longest, row.tokens);
  if (!stays || longest + 1 > cache_.capacity) select_rows(parents);
  return step(0, tokens);
}

// The cache of rows_, whose first tokens stand in rows `parents` of the old one, with room for a
// token more.
void T5Batch::select_rows(const std::vector<int64_t>& parents) {
  int64_t longest = 0;
  for (const auto& row : rows_) longest = std::max(longest, row.tokens);
  const auto rows = static_cast<int64_t>(parents.size());
  const int64_t capacity = round_up(longest + 1), common = std::min(capacity, cache_.capacity);
  if (cache_.rows == 0) {
    cache_ = model_.make_cache(rows, capacity);
    return;
  }
  const auto index = at::tensor(parents, at::kLong).to(model_.device());
  for (auto& layer : cache_.layers) {
    const int64_t width = layer.size(1);
    const auto old = layer.view({cache_.rows, cache_.capacity, width}).narrow(1, 0, common);
    auto grown = old.index_select(0, index);
    if (capacity > common) grown = at::constant_pad_nd(grown, {0, 0, 0, capacity - common});
    layer = grown.view({rows * capacity, width});
  }
  cache_.rows = rows;
  cache_.capacity = capacity;
}

// Puts one token of each row from `first_row` on through the decoder.
at::Tensor T5Batch::step(size_t first_row, const std::vector<int64_t>& tokens) {
  std::vector<nn::KeySpan> own, sources;
  std::vector<int64_t> slots, ones(tokens.size(), 1), shared;
  for (size_t r = first_row; r < rows_.size(); ++r) {
    auto& row = rows_[r];
    const int64_t begin = static_cast<int64_t>(r) * cache_.capacity;
    slots.push_back(begin + row.tokens++);
    own.push_back({begin, row.tokens});
    // Neighbours that read the same source share the reading.
    if (!sources.empty() && sources.back().begin == row.source.begin) {
      ++shared.back();
    } else {
      sources.push_back(row.source);
      shared.push_back(1);
    }
  }
  const auto device = model_.device();
  const T5Step step{nn::make_spans(nn::make_packing(ones, device), own, /*causal=*/true),
                    nn::make_spans(nn::make_packing(shared, device), sources, /*causal=*/false),
                    at::tensor(slots, at::kLong).to(device)};
  const auto hidden =
      model_.decode(at::tensor(tokens, at::kLong).to(device), step, memory_, cache_);
  return nn::linear(hidden, model_.head()).to(at::kFloat);
}

}  // namespace

std::unique_ptr<SequenceBatch> make_sequence_batch(const T5Model& model) {
  return std::make_unique<T5Batch>(model);
}

}  // namespace preimage::lm
