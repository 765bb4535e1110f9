#include "preimage/lm/score.hpp"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "target_rows.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

// The rows of one batch that predict something: logits in chunks, results appended in order.
void score_rows(const Model& model, const at::Tensor& hidden,
                const std::vector<TargetRows::Target>& targets, const ScoreOptions& options,
                std::vector<Score>& scores) {
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

}  // namespace

std::vector<Score> score(const Model& model, const std::vector<ScoreRequest>& requests,
                         const ScoreOptions& options) {
  require_requests(model, requests);
  const at::NoGradGuard no_grad;
  std::vector<Score> scores(requests.size());
  std::vector<int64_t> tokens;
  for (const auto& request : requests) tokens.push_back(read_tokens(request));
  for (const auto& range : token_batches(tokens, options.batch_tokens)) {
    const auto batch = pack_targets(model, requests, range);
    const auto hidden = model.hidden(batch.inputs, nn::PackedAttention(batch.packing));
    score_rows(model, hidden.index_select(0, batch.rows), batch.targets, options, scores);
  }
  return scores;
}

}  // namespace preimage::lm
