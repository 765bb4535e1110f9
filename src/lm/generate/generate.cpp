#include "preimage/lm/generate/generate.hpp"

#include <algorithm>
#include <numeric>

#include "generate/engine.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/nn/device_memory.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

int64_t pages_of(const GenerateRequest& request) {
  // The last token is never read.
  const int64_t tokens = prompt_tokens(request) + request.max_new_tokens - 1;
  return (tokens + nn::kPageTokens - 1) / nn::kPageTokens;
}

// What a pass holds at its peak, roughly: the wide rows of the block and the logits.
double activation_bytes(const Model& model, const GenerateOptions& options) {
  const auto& c = model.config();
  const auto& heads = model.attention_layers().front();
  const double row = 4.0 * static_cast<double>(c.intermediate_size + heads.width()) +
                     8.0 * static_cast<double>(c.hidden_size);
  const double tokens = static_cast<double>(std::max(options.prefill_tokens, options.batch));
  return tokens * row * static_cast<double>(c10::elementSize(model.dtype())) +
         static_cast<double>(rows_at_once(c)) * static_cast<double>(c.vocab_size) * 12;
}

}  // namespace

int64_t prompt_tokens(const GenerateRequest& request) {
  return embedded_tokens(request.embeddings) + static_cast<int64_t>(request.ids.size());
}

void require_requests(const Model& model, const std::vector<GenerateRequest>& requests,
                      const GenerateOptions& options) {
  base::check(options.batch > 0 && options.prefill_tokens > 0 && options.cache_pages >= 0,
              "generation has room for a sequence");
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& r = requests[i];
    const auto what = base::str("request ", i);
    if (prompt_tokens(r) == 0)
      throw base::data_error(what + ": found an empty prompt, expected at least one token");
    if (r.max_new_tokens < 0) throw base::data_error(what + ": found a negative max_new_tokens");
    if (r.n < 1) throw base::data_error(what + ": n is below 1");
    if (!r.stop.empty() && !options.tokenizer)
      throw base::data_error(what + ": stop strings need a tokenizer; give stop_ids");
    require_sampling(r.sampling, what);
    const SequenceView prompt{&r.embeddings, r.ids.data(), static_cast<int64_t>(r.ids.size())};
    require_sequence(model.config(), prompt, prompt_tokens(r) + r.max_new_tokens, what);
  }
}

void require_pages(const std::vector<GenerateRequest>& requests, int64_t pages) {
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].max_new_tokens == 0 || pages_of(requests[i]) <= pages) continue;
    throw base::data_error(
        base::str("request ", i, ": needs ", pages_of(requests[i]) * nn::kPageTokens,
                  " tokens of key/value cache, the device holds ", pages * nn::kPageTokens,
                  "; shorten the prompt, ask for fewer new tokens, or use a narrower dtype"));
  }
}

int64_t cache_pages(const Model& model, const std::vector<GenerateRequest>& requests,
                    const GenerateOptions& options) {
  if (options.cache_pages > 0) return options.cache_pages;
  std::vector<int64_t> wanted;
  for (const auto& request : requests) {
    if (request.max_new_tokens > 0)
      wanted.insert(wanted.end(), static_cast<size_t>(std::min(request.n, options.batch)),
                    pages_of(request));
  }
  std::sort(wanted.begin(), wanted.end(), std::greater<>());
  wanted.resize(std::min(wanted.size(), static_cast<size_t>(options.batch)));
  // One page more for each sequence, so that the rule of admission never binds.
  const int64_t useful = std::accumulate(wanted.begin(), wanted.end(), int64_t{0}) +
                         static_cast<int64_t>(wanted.size());
  const double room = 0.9 * nn::free_bytes(model.device()) - activation_bytes(model, options);
  const auto page =
      static_cast<double>(nn::page_bytes(model.attention_layers(), model.dtype(), model.device()));
  return std::min(useful, static_cast<int64_t>(std::max(0.0, room) / page));
}

std::vector<Completion> generate(const Model& model, const std::vector<GenerateRequest>& requests,
                                 const GenerateOptions& options) {
  return Engine(model, requests, options).run();
}

}  // namespace preimage::lm
