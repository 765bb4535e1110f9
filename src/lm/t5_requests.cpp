#include "t5_requests.hpp"

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {

int64_t prompt_tokens(const std::vector<int64_t>& ids, const at::Tensor& embeddings) {
  return static_cast<int64_t>(ids.size()) + (embeddings.defined() ? embeddings.size(0) : 0);
}

void require_ids(const T5Config& config, const std::vector<int64_t>& ids, const std::string& what) {
  for (const int64_t id : ids) {
    if (id < 0 || id >= config.vocab_size)
      throw base::data_error(base::str(what, ": found token id ", id, ", expected one of 0 to ",
                                       config.vocab_size - 1));
  }
}

void require_source(const T5Config& config, const SearchPrompt& prompt, const std::string& what) {
  const auto& rows = prompt.embeddings;
  if (rows.defined() && (rows.dim() != 2 || rows.size(1) != config.hidden_size)) {
    throw base::data_error(base::str(what, ": found embeddings ", rows.sizes(),
                                     ", expected [tokens, ", config.hidden_size, "]"));
  }
  if (prompt.tokens() == 0)
    throw base::data_error(what + ": found an empty prompt, expected at least one token");
  require_ids(config, prompt.ids, what);
}

at::Tensor encoder_states(const T5Model& model, const std::vector<SearchPrompt>& prompts) {
  std::vector<int64_t> lengths;
  std::vector<at::Tensor> parts;
  for (const auto& prompt : prompts) {
    lengths.push_back(prompt.tokens());
    if (prompt.embeddings.defined())
      parts.push_back(prompt.embeddings.to(model.device(), model.dtype()));
    if (!prompt.ids.empty())
      parts.push_back(model.encoder().embed(at::tensor(prompt.ids, at::kLong).to(model.device())));
  }
  return model.encoder().hidden(at::cat(parts), nn::make_packing(lengths, model.device()));
}

}  // namespace preimage::lm
