#include "target_rows.hpp"

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "token_rows.hpp"

namespace preimage::lm {

int64_t prompt_tokens(const ScoreRequest& request) {
  return embedded_tokens(request.embeddings) + static_cast<int64_t>(request.prompt.size());
}

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

at::Tensor TargetRows::target_ids() const {
  std::vector<int64_t> ids;
  for (const auto& target : targets) ids.push_back(target.id);
  return at::tensor(ids, at::kLong).to(rows.device());
}

TargetRows pack_targets(const Model& model, const std::vector<ScoreRequest>& requests,
                        std::pair<int64_t, int64_t> range) {
  TargetRows out;
  std::vector<std::vector<int64_t>> ids;
  std::vector<int64_t> lengths, rows;
  int64_t offset = 0;
  for (int64_t i = range.first; i < range.second; ++i) {
    const auto& r = requests[static_cast<size_t>(i)];
    ids.push_back(r.prompt);
    ids.back().insert(ids.back().end(), r.continuation.begin(), r.continuation.end() - 1);
    lengths.push_back(read_tokens(r));
    out.begins.push_back(offset);
    for (size_t t = 0; t < r.continuation.size(); ++t) {
      rows.push_back(offset + prompt_tokens(r) - 1 + static_cast<int64_t>(t));
      out.targets.push_back({i, r.continuation[t]});
    }
    offset += lengths.back();
  }
  std::vector<SequenceView> sequences;
  for (size_t i = 0; i < ids.size(); ++i) {
    sequences.push_back({&requests[static_cast<size_t>(range.first) + i].embeddings, ids[i].data(),
                         static_cast<int64_t>(ids[i].size())});
  }
  out.inputs = packed_embeddings(model, sequences);
  out.packing = nn::make_packing(lengths, model.device());
  out.rows = at::tensor(rows, at::kLong).to(model.device());
  return out;
}

}  // namespace preimage::lm
