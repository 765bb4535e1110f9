#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/t5/tasks.hpp"
#include "t5/requests.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

int64_t size_of(const std::vector<int64_t>& ids) {
  return static_cast<int64_t>(ids.size());
}

// Tokens that go through both stacks.
int64_t read_tokens(const ScoreRequest& request) {
  return prompt_tokens(request.prompt, request.embeddings) + size_of(request.continuation);
}

// Decoder states of the requests [begin, end): one row for each continuation token, which it
// predicts.
at::Tensor decoded(const T5Model& model, const std::vector<ScoreRequest>& requests, int64_t begin,
                   int64_t end) {
  std::vector<SearchPrompt> prompts;
  std::vector<int64_t> ids, lengths, slots;
  std::vector<nn::KeySpan> own, sources;
  int64_t longest = 0;
  for (int64_t i = begin; i < end; ++i)
    longest = std::max(longest, size_of(requests[i].continuation));
  for (int64_t i = begin; i < end; ++i) {
    const auto& r = requests[i];
    prompts.push_back({r.prompt, r.embeddings});
    ids.push_back(model.config().start_id);
    ids.insert(ids.end(), r.continuation.begin(), r.continuation.end() - 1);
    lengths.push_back(size_of(r.continuation));
    own.push_back({(i - begin) * longest, lengths.back()});
    for (int64_t t = 0; t < lengths.back(); ++t) slots.push_back(own.back().begin + t);
  }
  const auto read = encoder_states(model, prompts);
  int64_t place = 0;
  for (const int64_t length : read.lengths) {
    sources.push_back({place, length});
    place += length;
  }
  const auto memory = model.remember(read.states);
  auto cache = model.make_cache(end - begin, longest);
  const auto device = model.device();
  const T5Step step{
      nn::make_spans(nn::make_packing(lengths, device), std::move(own), /*causal=*/true),
      nn::make_spans(nn::make_packing(lengths, device), std::move(sources), /*causal=*/false),
      at::tensor(slots, at::kLong).to(device)};
  return model.decode(at::tensor(ids, at::kLong).to(device), step, memory, cache);
}

void score_batch(const T5Model& model, const std::vector<ScoreRequest>& requests,
                 std::pair<int64_t, int64_t> range, const ScoreOptions& options,
                 std::vector<Score>& scores) {
  const auto hidden = decoded(model, requests, range.first, range.second);
  int64_t row = 0;
  for (int64_t i = range.first; i < range.second; ++i) {
    const auto& target = requests[i].continuation;
    const auto rows = hidden.narrow(0, row, size_of(target));
    row += size_of(target);
    const auto logits = nn::linear(rows, model.head()).to(at::kFloat);
    const auto logprobs = at::log_softmax(logits, 1);
    const auto index = at::tensor(target, at::kLong).to(model.device()).unsqueeze(1);
    const auto picked = logprobs.gather(1, index).cpu();
    scores[i].logprobs.assign(picked.const_data_ptr<float>(),
                              picked.const_data_ptr<float>() + picked.numel());
    if (options.top == 0) continue;
    const auto all = logprobs.cpu().contiguous();
    for (int64_t t = 0; t < size_of(target); ++t)
      scores[i].top.push_back(
          best_of_row(all.const_data_ptr<float>() + t * all.size(1), all.size(1), options.top));
  }
}

}  // namespace

std::vector<Score> score(const T5Model& model, const std::vector<ScoreRequest>& requests,
                         const ScoreOptions& options) {
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& r = requests[i];
    const auto what = base::str("request ", i);
    require_source(model.config(), {r.prompt, r.embeddings}, what);
    if (r.continuation.empty())
      throw base::data_error(what + ": found an empty continuation, expected at least one token");
    require_ids(model.config(), r.continuation, what);
  }
  const at::NoGradGuard no_grad;
  std::vector<Score> scores(requests.size());
  std::vector<int64_t> tokens;
  for (const auto& request : requests) tokens.push_back(read_tokens(request));
  for (const auto& range : token_batches(tokens, options.batch_tokens))
    score_batch(model, requests, range, options, scores);
  return scores;
}

}  // namespace preimage::lm
