#include "preimage/lm/generate.hpp"

#include <algorithm>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/nn/paged_attention.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

int64_t prompt_tokens(const GenerateRequest& request) {
  return embedded_tokens(request.embeddings) + static_cast<int64_t>(request.ids.size());
}

SequenceView prompt_of(const GenerateRequest& request) {
  return {&request.embeddings, request.ids.data(), static_cast<int64_t>(request.ids.size())};
}

void require_requests(const Model& model, const std::vector<GenerateRequest>& requests,
                      const GenerateOptions& options) {
  base::check(options.batch > 0 && options.prefill_tokens > 0,
              "generation has room for a sequence");
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto what = base::str("request ", i);
    const int64_t prompt = prompt_tokens(requests[i]);
    if (prompt == 0)
      throw base::data_error(what + ": found an empty prompt, expected at least one token");
    if (requests[i].max_new_tokens < 0)
      throw base::data_error(what + ": found a negative max_new_tokens");
    require_sequence(model.config(), prompt_of(requests[i]), prompt + requests[i].max_new_tokens,
                     what);
  }
}

// A row of the cache and the request that owns it.
struct Slot {
  int64_t request = 0;
  int64_t cached = 0;  // tokens in the cache
  int64_t last = 0;    // chosen, not yet in the cache
};

class Engine {
 public:
  Engine(const Model& model, const std::vector<GenerateRequest>& requests,
         const GenerateOptions& options)
      : model_(model), requests_(requests), options_(options), completions_(requests.size()) {
    int64_t capacity = 0, wanted = 0;
    for (const auto& request : requests) {
      if (request.max_new_tokens == 0) continue;
      capacity = std::max(capacity, prompt_tokens(request) + request.max_new_tokens -
                                        1);  // the last one is never read
      ++wanted;
    }
    const int64_t rows = std::min(options.batch, wanted);
    pages_of_row_ = (capacity + nn::kPageTokens - 1) / nn::kPageTokens;
    if (rows > 0)
      cache_ = nn::make_kv_cache(model.attention_layers(), rows * pages_of_row_, model.dtype(),
                                 model.device());
    slots_.resize(static_cast<size_t>(rows));
    for (int64_t row = rows - 1; row >= 0; --row) free_.push_back(row);
  }

  std::vector<Completion> run() {
    while (next_ < static_cast<int64_t>(requests_.size()) || !active_.empty()) {
      refill();
      if (!active_.empty()) decode();
    }
    return std::move(completions_);
  }

 private:
  using Rows = std::vector<int64_t>;  // rows of the cache

  // Takes waiting requests while there are rows and `prefill_tokens` for them: whole prompts, at
  // least one.
  Rows take_waiting() {
    Rows taken;
    int64_t tokens = 0;
    while (next_ < static_cast<int64_t>(requests_.size())) {
      const auto& request = requests_[next_];
      if (request.max_new_tokens == 0) {
        completions_[next_++].finish_reason = "length";
        continue;
      }
      tokens += prompt_tokens(request);
      if (free_.empty() || (!taken.empty() && tokens > options_.prefill_tokens)) break;
      taken.push_back(free_.back());
      free_.pop_back();
      slots_[taken.back()] = {next_++, 0, 0};
    }
    return taken;
  }

  void refill() {
    for (Rows rows = take_waiting(); !rows.empty(); rows = take_waiting()) {
      std::vector<SequenceView> prompts;
      for (const int64_t row : rows) prompts.push_back(prompt_of(requests_[slots_[row].request]));
      advance(rows, packed_embeddings(model_, prompts));
    }
  }

  void decode() {
    Rows rows;
    std::swap(rows, active_);
    std::vector<int64_t> ids;
    for (const int64_t row : rows) ids.push_back(slots_[row].last);
    advance(rows, model_.embed(at::tensor(ids, at::kLong).to(model_.device())));
  }

  // Puts x, the new tokens of `rows`, through the model and chooses the next token of each.
  void advance(const Rows& rows, const at::Tensor& x) {
    std::vector<int64_t> last;
    std::vector<nn::PagedSequence> sequences;
    for (const int64_t row : rows) {
      auto& slot = slots_[row];
      nn::PagedSequence sequence{{}, slot.cached, 1};
      if (slot.cached == 0) sequence.fresh = prompt_tokens(requests_[slot.request]);
      for (int64_t p = 0; p < pages_of_row_; ++p)
        sequence.pages.push_back(static_cast<int32_t>(row * pages_of_row_ + p));
      slot.cached += sequence.fresh;
      sequences.push_back(std::move(sequence));
    }
    const nn::PagedAttention context(cache_, std::move(sequences), model_.device());
    const auto& packing = context.fresh();
    auto hidden = model_.hidden(x, context);
    if (packing.tokens() > packing.sequences()) {
      for (int64_t s = 0; s < packing.sequences(); ++s) last.push_back(packing.offsets[s + 1] - 1);
      hidden = hidden.index_select(0, at::tensor(last, at::kLong).to(model_.device()));
    }
    const int64_t chunk = rows_at_once(model_.config()), count = static_cast<int64_t>(rows.size());
    for (int64_t first = 0; first < count; first += chunk) {
      const int64_t n = std::min(chunk, count - first);
      choose(Rows(rows.begin() + first, rows.begin() + first + n), hidden.narrow(0, first, n));
    }
  }

  void choose(const Rows& rows, const at::Tensor& hidden) {
    const auto logits = row_logits(model_, hidden);
    const auto chosen = logits.argmax(1, /*keepdim=*/true);
    const auto logprobs = at::log_softmax(logits, 1);
    const auto picked = logprobs.gather(1, chosen).cpu();
    const auto ids = chosen.cpu();
    const bool any_top = std::any_of(rows.begin(), rows.end(), [&](int64_t row) {
      return requests_[slots_[row].request].top > 0;
    });
    const auto all = any_top ? logprobs.cpu().contiguous() : at::Tensor();
    for (size_t i = 0; i < rows.size(); ++i) {
      accept(
          rows[i], ids.const_data_ptr<int64_t>()[i], picked.const_data_ptr<float>()[i],
          any_top ? all.const_data_ptr<float>() + static_cast<int64_t>(i) * all.size(1) : nullptr);
    }
  }

  void accept(int64_t row, int64_t id, float logprob, const float* all) {
    auto& slot = slots_[row];
    const auto& request = requests_[slot.request];
    auto& out = completions_[slot.request];
    if (std::find(request.stop_ids.begin(), request.stop_ids.end(), id) != request.stop_ids.end()) {
      out.finish_reason = "eos";
    } else {
      slot.last = id;
      out.ids.push_back(id);
      out.logprobs.push_back(logprob);
      if (request.top > 0)
        out.top.push_back(best_of_row(all, model_.config().vocab_size, request.top));
      if (options_.stop && options_.stop(slot.request, out.ids)) {
        out.finish_reason = "stop";
      } else if (static_cast<int64_t>(out.ids.size()) == request.max_new_tokens) {
        out.finish_reason = "length";
      }
    }
    (out.finish_reason.empty() ? active_ : free_).push_back(row);
  }

  const Model& model_;
  const std::vector<GenerateRequest>& requests_;
  const GenerateOptions& options_;
  std::vector<Completion> completions_;
  nn::KvCache cache_;
  int64_t pages_of_row_ = 0;
  std::vector<Slot> slots_;  // by row
  Rows free_, active_;
  int64_t next_ = 0;  // the first request that waits
};

}  // namespace

std::vector<Completion> generate(const Model& model, const std::vector<GenerateRequest>& requests,
                                 const GenerateOptions& options) {
  require_requests(model, requests, options);
  const at::NoGradGuard no_grad;
  return Engine(model, requests, options).run();
}

}  // namespace preimage::lm
