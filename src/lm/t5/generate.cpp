#include <algorithm>
#include <deque>
#include <optional>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "generate/stop_watcher.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/t5/tasks.hpp"
#include "t5/requests.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

// One candidate of a request.
class OneSequence : public RowSearch {
 public:
  OneSequence(const GenerateRequest& request, int64_t start, const GenerateOptions& options)
      : request_(request),
        options_(options),
        prompt_{request.ids, request.embeddings},
        history_{start} {
    if (options.tokenizer && !request.stop.empty())
      watcher_.emplace(*options.tokenizer, request.stop);
  }
  const SearchPrompt& prompt() const override { return prompt_; }
  int64_t most_rows() const override { return 1; }
  const std::vector<Step>& next() const override { return next_; }
  const GenerateRequest& request() const { return request_; }

  // The token for a row of logits, which it may overwrite.
  int64_t choose(std::span<float> logits) const {
    const auto& sampling = request_.sampling;
    process_logits(logits, sampling, history_);
    const auto step = static_cast<int64_t>(completion.ids.size());
    return pick_token(
        logits, sampling,
        sampling.greedy() ? 0 : sampling_uniform(sampling.seed, completion.index, step));
  }

  // `logprobs`: the row under the raw model.
  void accept(int64_t id, std::span<const float> logprobs) {
    next_.clear();
    const auto& stops = request_.stop_ids;
    if (std::find(stops.begin(), stops.end(), id) != stops.end()) return finish("eos");
    completion.ids.push_back(id);
    history_.push_back(id);
    completion.logprobs.push_back(logprobs[static_cast<size_t>(id)]);
    if (request_.top > 0)
      completion.top.push_back(
          best_of_row(logprobs.data(), static_cast<int64_t>(logprobs.size()), request_.top));
    const bool stop_string = watcher_ && watcher_->push(id);
    if (stop_string || (options_.stop && options_.stop(completion))) return finish("stop");
    if (static_cast<int64_t>(completion.ids.size()) == request_.max_new_tokens)
      return finish("length");
    next_ = {{0, id}};
  }

  void finish(const char* reason) {
    completion.finish_reason = reason;
    if (options_.tokenizer) {
      completion.text = watcher_ && watcher_->found() ? watcher_->text()
                                                      : options_.tokenizer->decode(completion.ids);
    }
    if (options_.finished) options_.finished(completion);
  }

  Completion completion;

 private:
  const GenerateRequest& request_;
  const GenerateOptions& options_;
  SearchPrompt prompt_;
  std::vector<int64_t> history_;  // what penalties count: the start token and its own
  std::optional<StopWatcher> watcher_;
  std::vector<Step> next_;
};

class TokenChooser : public RowChooser {
 public:
  void choose(const std::vector<RowSearch*>& searches, const at::Tensor& logits) override {
    const auto logprobs = at::log_softmax(logits, 1).cpu().contiguous();
    auto rows = logits.cpu().contiguous();
    const auto vocab = static_cast<size_t>(logits.size(1));
    std::vector<int64_t> ids(searches.size());
    at::parallel_for(0, static_cast<int64_t>(ids.size()), 1, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
        ids[i] = sequence(searches, i).choose({rows.data_ptr<float>() + i * vocab, vocab});
    });
    for (size_t i = 0; i < ids.size(); ++i) {
      sequence(searches, i).accept(ids[i], {logprobs.const_data_ptr<float>() + i * vocab, vocab});
    }
  }

 private:
  static OneSequence& sequence(const std::vector<RowSearch*>& searches, size_t i) {
    return static_cast<OneSequence&>(*searches[i]);
  }
};

void require_request(const T5Model& model, const GenerateRequest& request,
                     const std::string& what) {
  require_source(model.config(), {request.ids, request.embeddings}, what);
  if (request.max_new_tokens < 0)
    throw base::data_error(what + ": found a negative max_new_tokens");
  require_sampling(request.sampling, what);
}

}  // namespace

std::vector<Completion> generate(const T5Model& model, const std::vector<GenerateRequest>& requests,
                                 const GenerateOptions& options) {
  for (size_t i = 0; i < requests.size(); ++i)
    require_request(model, requests[i], base::str("request ", i));
  std::deque<OneSequence> sequences;
  std::vector<RowSearch*> searches;
  for (size_t i = 0; i < requests.size(); ++i) {
    for (int64_t index = 0; index < requests[i].n; ++index) {
      auto& one = sequences.emplace_back(requests[i], model.config().start_id, options);
      one.completion.request = static_cast<int64_t>(i);
      one.completion.index = index;
      if (requests[i].max_new_tokens > 0) {
        searches.push_back(&one);
      } else {
        one.finish("length");
      }
    }
  }
  TokenChooser chooser;
  const auto batch = make_sequence_batch(model);
  run_searches(*batch, searches, chooser,
               {.rows = options.batch, .prefill_tokens = options.prefill_tokens});
  std::vector<Completion> out;
  for (auto& one : sequences) out.push_back(std::move(one.completion));
  return out;
}

}  // namespace preimage::lm
