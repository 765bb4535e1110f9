#include "generate/limits.hpp"

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/nn/device_memory.hpp"
#include "preimage/nn/paged_attention.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

// The last token is never read.
int64_t pages_for(int64_t tokens) {
  return (tokens - 1 + nn::kPageTokens - 1) / nn::kPageTokens;
}

// What a pass holds at its peak, roughly: the wide rows of the block and the logits.
double activation_bytes(const Model& model, const GeneratorOptions& options) {
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

int64_t sequence_tokens(const GenerateRequest& request) {
  return prompt_tokens(request) + request.max_new_tokens;
}

void require_request(const Model& model, const GenerateRequest& r, bool has_tokenizer,
                     const std::string& what) {
  if (prompt_tokens(r) == 0)
    throw base::data_error(what + ": found an empty prompt, expected at least one token");
  if (r.max_new_tokens < 0) throw base::data_error(what + ": found a negative max_new_tokens");
  if (r.n < 1) throw base::data_error(what + ": n is below 1");
  if (!r.stop.empty() && !has_tokenizer)
    throw base::data_error(what + ": stop strings need a tokenizer; give stop_ids");
  require_sampling(r.sampling, what);
  const SequenceView prompt{&r.embeddings, r.ids.data(), static_cast<int64_t>(r.ids.size())};
  require_sequence(model.config(), prompt, sequence_tokens(r), what);
}

int64_t pages_of(const GenerateRequest& request) {
  return request.max_new_tokens == 0 ? 0 : pages_for(sequence_tokens(request));
}

void require_pages(const GenerateRequest& request, int64_t pages, const std::string& what) {
  const int64_t needed = pages_of(request);
  if (needed <= pages) return;
  throw base::data_error(
      base::str(what, ": needs ", needed * nn::kPageTokens,
                " tokens of key/value cache, the device holds ", pages * nn::kPageTokens,
                "; shorten the prompt, ask for fewer new tokens, or use a narrower dtype"));
}

int64_t held_pages(const Model& model, const GeneratorOptions& options) {
  const double room = 0.9 * nn::free_bytes(model.device()) - activation_bytes(model, options);
  const auto page =
      static_cast<double>(nn::page_bytes(model.attention_layers(), model.dtype(), model.device()));
  return static_cast<int64_t>(std::max(0.0, room) / page);
}

int64_t cache_pages(const Model& model, const GeneratorOptions& options) {
  if (options.cache_pages > 0) return options.cache_pages;
  // One page more for each sequence, so that the rule of admission never binds.
  const int64_t useful = options.batch * (pages_for(options.longest) + 1);
  return std::min(useful, held_pages(model, options));
}

}  // namespace preimage::lm
