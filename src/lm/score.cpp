#include "preimage/lm/score.hpp"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

int64_t prompt_tokens(const ScoreRequest& request) {
  return embedded_tokens(request.embeddings) + static_cast<int64_t>(request.prompt.size());
}

// Tokens that go through the model: the last of the continuation predicts nothing.
int64_t read_tokens(const ScoreRequest& request) {
  return prompt_tokens(request) + static_cast<int64_t>(request.continuation.size()) - 1;
}

void require_requests(const Model& model, const std::vector<ScoreRequest>& requests) {
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& r = requests[i];
    const auto what = base::str("request ", i);
    if (prompt_tokens(r) == 0)
      throw base::data_error(what + ": found an empty prompt, expected at least one token");
    if (r.continuation.empty())
      throw base::data_error(what + ": found an empty continuation, expected at least one token");
    const at::Tensor none;
    const auto size = [](const auto& ids) { return static_cast<int64_t>(ids.size()); };
    require_sequence(model.config(), {&r.embeddings, r.prompt.data(), size(r.prompt)},
                     read_tokens(r), what);
    require_sequence(model.config(), {&none, r.continuation.data(), size(r.continuation)}, 0, what);
  }
}

// Where a predicting row's results go.
struct Target {
  int64_t request, id;
};

// The rows of one batch that predict something: logits in chunks, results appended in order.
void score_rows(const Model& model, const at::Tensor& hidden, const std::vector<Target>& targets,
                const ScoreOptions& options, std::vector<Score>& scores) {
  const int64_t chunk = rows_at_once(model.config()), count = static_cast<int64_t>(targets.size());
  for (int64_t first = 0; first < count; first += chunk) {
    const int64_t n = std::min(chunk, count - first);
    std::vector<int64_t> ids;
    for (int64_t i = first; i < first + n; ++i) ids.push_back(targets[i].id);
    const auto logprobs = at::log_softmax(row_logits(model, hidden.narrow(0, first, n)), 1);
    const auto picked =
        logprobs.gather(1, at::tensor(ids, at::kLong).to(model.device()).unsqueeze(1)).cpu();
    const auto all = options.top > 0 ? logprobs.cpu().contiguous() : at::Tensor();
    for (int64_t i = 0; i < n; ++i) {
      auto& score = scores[targets[first + i].request];
      score.logprobs.push_back(picked.const_data_ptr<float>()[i]);
      if (options.top > 0)
        score.top.push_back(
            best_of_row(all.const_data_ptr<float>() + i * all.size(1), all.size(1), options.top));
    }
  }
}

// Requests [begin, end) in one packed batch.
void score_batch(const Model& model, const std::vector<ScoreRequest>& requests,
                 std::pair<int64_t, int64_t> range, const ScoreOptions& options,
                 std::vector<Score>& scores) {
  std::vector<std::vector<int64_t>> ids;
  std::vector<int64_t> lengths, rows;
  std::vector<Target> targets;
  int64_t offset = 0;
  for (int64_t i = range.first; i < range.second; ++i) {
    const auto& r = requests[i];
    ids.push_back(r.prompt);
    ids.back().insert(ids.back().end(), r.continuation.begin(), r.continuation.end() - 1);
    lengths.push_back(read_tokens(r));
    for (size_t t = 0; t < r.continuation.size(); ++t) {
      rows.push_back(offset + prompt_tokens(r) - 1 + static_cast<int64_t>(t));
      targets.push_back({i, r.continuation[t]});
    }
    offset += lengths.back();
  }
  std::vector<SequenceView> sequences;
  for (int64_t i = range.first; i < range.second; ++i) {
    const auto& own = ids[i - range.first];
    sequences.push_back({&requests[i].embeddings, own.data(), static_cast<int64_t>(own.size())});
  }
  const auto hidden = model.hidden(packed_embeddings(model, sequences),
                                   nn::PackedAttention(nn::make_packing(lengths, model.device())));
  score_rows(model, hidden.index_select(0, at::tensor(rows, at::kLong).to(model.device())), targets,
             options, scores);
}

}  // namespace

std::vector<Score> score(const Model& model, const std::vector<ScoreRequest>& requests,
                         const ScoreOptions& options) {
  require_requests(model, requests);
  const at::NoGradGuard no_grad;
  std::vector<Score> scores(requests.size());
  std::vector<int64_t> tokens;
  for (const auto& request : requests) tokens.push_back(read_tokens(request));
  for (const auto& range : token_batches(tokens, options.batch_tokens))
    score_batch(model, requests, range, options, scores);
  return scores;
}

}  // namespace preimage::lm
