#include "preimage/lm/generate/beam_search.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "generate/beam_state.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

// Ids that would complete an n-gram which the history already holds.
std::set<int64_t> repeated_ngrams(const std::vector<int64_t>& history, int64_t n) {
  std::set<int64_t> banned;
  const auto length = static_cast<int64_t>(history.size());
  for (int64_t i = 0; i + n <= length; ++i) {
    if (std::equal(history.begin() + i, history.begin() + i + n - 1, history.end() - (n - 1)))
      banned.insert(history[static_cast<size_t>(i + n - 1)]);
  }
  return banned;
}

// Elements (row, id) of a matrix of log-probabilities.
struct Places {
  std::vector<int64_t> rows, ids;
  std::vector<float> factors;
  void add(int64_t row, int64_t id, double factor = 1) {
    rows.push_back(row), ids.push_back(id), factors.push_back(static_cast<float>(factor));
  }
  c10::List<std::optional<at::Tensor>> index(at::Device device) const {
    return c10::List<std::optional<at::Tensor>>(
        {at::tensor(rows, at::kLong).to(device), at::tensor(ids, at::kLong).to(device)});
  }
};

class BeamChooser : public RowChooser {
 public:
  void choose(const std::vector<RowSearch*>& searches, const at::Tensor& logits) override {
    std::vector<BeamState*> states;
    int64_t most = 0;
    for (auto* search : searches) {
      states.push_back(static_cast<BeamState*>(search));
      most = std::max(most, states.back()->candidates());
    }
    const auto raw = at::log_softmax(logits, 1);
    const auto scores = penalised(raw, states);
    const Best best = best_of_rows(scores, raw, std::min(most, logits.size(1)));
    int64_t row = 0;
    for (auto* state : states) {
      std::vector<BeamCandidate> candidates;
      for (int64_t beam = 0; beam < state->rows(); ++beam, ++row) {
        for (int64_t i = 0; i < std::min(state->candidates(), best.ids.size(1)); ++i) {
          const int64_t at = row * best.ids.size(1) + i;
          candidates.push_back({beam, best.ids.const_data_ptr<int64_t>()[at],
                                best.scores.const_data_ptr<float>()[at],
                                best.logprobs.const_data_ptr<float>()[at]});
        }
      }
      state->take(std::move(candidates));
    }
  }

 private:
  struct Best {
    at::Tensor ids, scores, logprobs;  // [rows, k] on the CPU, best first
  };

  static at::Tensor penalised(const at::Tensor& raw, const std::vector<BeamState*>& states) {
    Places said, banned;
    int64_t row = 0;
    for (const auto* state : states) {
      const auto& request = state->request();
      for (int64_t beam = 0; beam < state->rows(); ++beam, ++row) {
        if (request.repetition_penalty == 1 && request.no_repeat_ngram == 0) continue;
        const auto history = state->history(beam);
        if (request.repetition_penalty != 1) {
          for (const int64_t id : std::set<int64_t>(history.begin(), history.end()))
            said.add(row, id, request.repetition_penalty);
        }
        if (request.no_repeat_ngram == 0) continue;
        for (const int64_t id : repeated_ngrams(history, request.no_repeat_ngram))
          banned.add(row, id);
      }
    }
    if (said.rows.empty() && banned.rows.empty()) return raw;
    auto scores = raw.clone();
    if (!said.rows.empty()) {
      const auto index = said.index(raw.device());
      const auto factor = at::tensor(said.factors, at::kFloat).to(raw.device());
      const auto before = scores.index(index);
      scores.index_put_(index, at::where(before < 0, before * factor, before / factor));
    }
    if (!banned.rows.empty())
      scores.index_put_(banned.index(raw.device()), at::full({}, -INFINITY, raw.options()));
    return scores;
  }

  // Equal scores stand in the order of their ids, whatever k is: a row does not depend on the
  // others.
  static Best best_of_rows(const at::Tensor& scores, const at::Tensor& raw, int64_t k) {
    if (!scores.is_cpu()) {
      const auto ids = std::get<1>(at::topk(scores, k, 1));
      return ordered(ids.cpu(), scores.gather(1, ids).cpu(), raw.gather(1, ids).cpu());
    }
    const int64_t rows = scores.size(0), vocab = scores.size(1);
    auto ids = at::empty({rows, k}, at::kLong);
    const auto values = scores.contiguous();
    at::parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        best_of_row(values.const_data_ptr<float>() + r * vocab, vocab, k,
                    ids.data_ptr<int64_t>() + r * k);
    });
    return {ids, values.gather(1, ids), raw.gather(1, ids)};
  }

  // One pass that keeps the k best so far in a heap whose front is the worst of them.
  static void best_of_row(const float* row, int64_t size, int64_t k, int64_t* best) {
    const auto before = [row](int64_t a, int64_t b) {
      return row[a] != row[b] ? row[a] > row[b] : a < b;
    };
    for (int64_t i = 0; i < k; ++i) best[i] = i;
    std::make_heap(best, best + k, before);
    for (int64_t i = k; i < size; ++i) {
      if (!(row[i] > row[best[0]])) continue;
      std::pop_heap(best, best + k, before);
      best[k - 1] = i;
      std::push_heap(best, best + k, before);
    }
    std::sort(best, best + k, before);
  }

  static Best ordered(at::Tensor ids, at::Tensor scores, at::Tensor logprobs) {
    const auto by_id = std::get<1>(ids.sort(1));
    const auto place = [](const at::Tensor& x, const at::Tensor& order) {
      return x.gather(1, order);
    };
    ids = place(ids, by_id), scores = place(scores, by_id), logprobs = place(logprobs, by_id);
    const auto by_score = std::get<1>(at::sort(scores, /*stable=*/true, 1, /*descending=*/true));
    return {place(ids, by_score), place(scores, by_score), place(logprobs, by_score)};
  }
};

void require_requests(const SequenceBatch& batch, const std::vector<BeamRequest>& requests) {
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& r = requests[i];
    const auto fail = [&](const std::string& found) {
      throw base::data_error(base::str("request ", i, ": ", found));
    };
    if (r.prompt.tokens() == 0) fail("found an empty prompt, expected at least one token");
    for (const int64_t id : r.prompt.ids) {
      if (id < 0 || id >= batch.vocab_size())
        fail(base::str("found token id ", id, ", expected one of 0 to ", batch.vocab_size() - 1));
    }
    if (!r.stop.empty() && !r.tokenizer) fail("stop strings need a tokenizer; give stop_ids");
    if (r.max_new_tokens < 1) fail("found max_new_tokens below 1");
    if (r.beams < 1 || r.returned < 1 || r.returned > r.beams)
      fail(base::str("found ", r.beams, " beams of which ", r.returned, " are to be returned"));
    if (!(r.repetition_penalty > 0) || r.no_repeat_ngram < 0 || !std::isfinite(r.length_penalty))
      fail("found a penalty out of range");
  }
}

}  // namespace

std::vector<std::vector<Hypothesis>> beam_search(SequenceBatch& batch,
                                                 const std::vector<BeamRequest>& requests,
                                                 const SearchOptions& options) {
  require_requests(batch, requests);
  std::vector<BeamState> states;
  states.reserve(requests.size());
  std::vector<RowSearch*> searches;
  for (const auto& request : requests) {
    states.emplace_back(request, batch.said(request.prompt));
    searches.push_back(&states.back());
  }
  BeamChooser chooser;
  run_searches(batch, searches, chooser, options);
  std::vector<std::vector<Hypothesis>> out;
  for (const auto& state : states) out.push_back(state.best());
  return out;
}

}  // namespace preimage::lm
