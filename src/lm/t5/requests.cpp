#include "t5/requests.hpp"

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "t5/stack.hpp"

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

namespace {

// [rows, d]: embeddings, then ids.
at::Tensor encoder_inputs(const T5Model& model, const SearchPrompt& prompt) {
  std::vector<at::Tensor> parts;
  if (prompt.embeddings.defined())
    parts.push_back(prompt.embeddings.to(model.device(), model.dtype()));
  if (!prompt.ids.empty())
    parts.push_back(model.encoder().embed(at::tensor(prompt.ids, at::kLong).to(model.device())));
  return at::cat(parts);
}

bool hides_rows(const SearchPrompt& prompt) {
  return prompt.embeddings.defined() && prompt.embeddings.select(1, 0).isnan().any().item<bool>();
}

}  // namespace

SourceStates encoder_states(const T5Model& model, const std::vector<SearchPrompt>& prompts) {
  const auto& encoder = static_cast<const T5Encoder&>(model.encoder());
  SourceStates out;
  std::vector<at::Tensor> inputs, states;
  std::vector<int64_t> lengths;
  const auto encode_whole = [&] {
    if (inputs.empty()) return;
    states.push_back(encoder.hidden(at::cat(inputs), nn::make_packing(lengths, model.device())));
    inputs.clear(), lengths.clear();
  };
  for (const auto& prompt : prompts) {
    auto rows = encoder_inputs(model, prompt);
    if (hides_rows(prompt)) {
      encode_whole();
      const auto seen = rows.select(1, 0).isnan().logical_not().nonzero().squeeze(1);
      states.push_back(encoder.hidden_at(rows.index_select(0, seen), seen));
      out.lengths.push_back(seen.size(0));
      continue;
    }
    lengths.push_back(rows.size(0));
    out.lengths.push_back(rows.size(0));
    inputs.push_back(std::move(rows));
  }
  encode_whole();
  out.states = at::cat(states);
  return out;
}

}  // namespace preimage::lm
