#include <algorithm>
#include <map>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/lm/sequence_batch.hpp"
#include "preimage/nn/paged_attention.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

// Rows share the full pages of their common past; a page that is still being written belongs to
// one.
class DecoderBatch : public SequenceBatch {
 public:
  DecoderBatch(const Model& model, int64_t rows, int64_t tokens) : model_(model) {
    const int64_t pages_of_row = (tokens + nn::kPageTokens - 1) / nn::kPageTokens;
    // A step holds the pages of the rows before it and copies of those that forks write.
    const int64_t pages = rows * (pages_of_row + 1);
    cache_ = nn::make_kv_cache(model.attention_layers(), pages, model.dtype(), model.device());
    owners_.resize(static_cast<size_t>(pages));
    for (int64_t page = pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
  }

  int64_t vocab_size() const override { return model_.config().vocab_size; }
  std::vector<int64_t> said(const SearchPrompt& prompt) const override { return prompt.ids; }

  at::Tensor start(const std::vector<const SearchPrompt*>& prompts) override {
    std::vector<SequenceView> views;
    const size_t first = rows_.size();
    for (const auto* prompt : prompts) {
      views.push_back(
          {&prompt->embeddings, prompt->ids.data(), static_cast<int64_t>(prompt->ids.size())});
      rows_.emplace_back();
    }
    std::vector<int64_t> fresh;
    for (const auto* prompt : prompts) fresh.push_back(prompt->tokens());
    return forward(packed_embeddings(model_, views), first, fresh);
  }

  at::Tensor advance(const std::vector<int64_t>& parents,
                     const std::vector<int64_t>& tokens) override {
    fork(parents);
    if (rows_.empty()) return {};
    return forward(model_.embed(at::tensor(tokens, at::kLong).to(model_.device())), 0,
                   std::vector<int64_t>(tokens.size(), 1));
  }

 private:
  struct Row {
    std::vector<int32_t> pages;
    int64_t tokens = 0;
  };

  int32_t take_page() {
    base::check(!free_.empty(), "the cache holds the rows that it was made for");
    const int32_t page = free_.back();
    free_.pop_back();
    owners_[static_cast<size_t>(page)] = 1;
    return page;
  }
  void release(const Row& row) {
    for (const int32_t page : row.pages) {
      if (--owners_[static_cast<size_t>(page)] == 0) free_.push_back(page);
    }
  }

  void fork(const std::vector<int64_t>& parents) {
    std::vector<Row> rows;
    std::vector<int64_t> from, to;  // pages to copy
    std::map<int64_t, int64_t> children;
    for (const int64_t parent : parents) {
      Row row = rows_[static_cast<size_t>(parent)];
      for (const int32_t page : row.pages) ++owners_[static_cast<size_t>(page)];
      const bool open = row.tokens % nn::kPageTokens != 0;
      if (open && children[parent]++ > 0) {
        --owners_[static_cast<size_t>(row.pages.back())];
        from.push_back(row.pages.back());
        row.pages.back() = take_page();
        to.push_back(row.pages.back());
      }
      rows.push_back(std::move(row));
    }
    for (const auto& row : rows_) release(row);
    rows_ = std::move(rows);
    if (from.empty()) return;
    const auto source = at::tensor(from, at::kLong).to(model_.device());
    const auto target = at::tensor(to, at::kLong).to(model_.device());
    for (const auto& layer : cache_.layers) {
      for (const auto& kept : {layer.keys, layer.values})
        at::Tensor(kept).index_copy_(0, target, kept.index_select(0, source));
    }
  }

  // x: `fresh` tokens of each row from `first_row` on.
  at::Tensor forward(const at::Tensor& x, size_t first_row, const std::vector<int64_t>& fresh) {
    std::vector<nn::PagedSequence> sequences;
    for (size_t i = 0; i < fresh.size(); ++i) {
      auto& row = rows_[first_row + i];
      const int64_t tokens = row.tokens + fresh[i];
      while (static_cast<int64_t>(row.pages.size()) * nn::kPageTokens < tokens)
        row.pages.push_back(take_page());
      sequences.push_back({row.pages, row.tokens, fresh[i]});
      row.tokens = tokens;
    }
    const nn::PagedAttention context(cache_, std::move(sequences), model_.device());
    std::vector<int64_t> last;
    const auto& offsets = context.fresh().offsets;
    for (size_t s = 1; s < offsets.size(); ++s) last.push_back(offsets[s] - 1);
    const auto hidden = model_.hidden(x, context);
    return row_logits(model_,
                      hidden.index_select(0, at::tensor(last, at::kLong).to(model_.device())));
  }

  const Model& model_;
  nn::KvCache cache_;
  std::vector<Row> rows_;
  std::vector<int64_t> owners_;  // rows that hold a page
  std::vector<int32_t> free_;
};

}  // namespace

std::unique_ptr<SequenceBatch> make_sequence_batch(const Model& model, int64_t rows,
                                                   int64_t tokens) {
  return std::make_unique<DecoderBatch>(model, rows, tokens);
}

}  // namespace preimage::lm
