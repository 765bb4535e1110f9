#include <algorithm>
#include <deque>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "generate/runner.hpp"
#include "preimage/nn/decode_attention.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

class PlainRunner : public Runner {
 public:
  PlainRunner(const Model& model, const nn::KvCache& cache, const RunnerOptions& options)
      : model_(model), cache_(cache), last_(static_cast<size_t>(options.slots), -1) {}

  int64_t depth() const override { return 1; }

  void start(const Pass& pass) override {
    const at::NoGradGuard no_grad;
    std::vector<nn::PagedSequence> places;
    std::vector<int64_t> rows;
    std::vector<const PassSequence*> choosing;
    int64_t tokens = 0;
    for (const auto& sequence : pass.sequences) {
      places.push_back(sequence.place);
      tokens += sequence.place.fresh;
      if (!sequence.choose) continue;
      rows.push_back(tokens - 1);
      choosing.push_back(&sequence);
    }
    const nn::PagedAttention context(cache_, std::move(places), model_.device());
    auto hidden = model_.hidden(embeddings(pass), context);
    if (static_cast<int64_t>(rows.size()) < tokens)
      hidden = hidden.index_select(0, at::tensor(rows, at::kLong).to(model_.device()));
    Chosen chosen;
    const int64_t chunk = rows_at_once(model_.config());
    for (int64_t first = 0; first < hidden.size(0); first += chunk) {
      const int64_t count = std::min(chunk, hidden.size(0) - first);
      choose({choosing.data() + first, static_cast<size_t>(count)},
             row_logits(model_, hidden.narrow(0, first, count)), chosen);
    }
    results_.push_back(std::move(chosen));
  }

  Chosen fetch() override {
    auto chosen = std::move(results_.front());
    results_.pop_front();
    return chosen;
  }

 private:
  at::Tensor embeddings(const Pass& pass) const {
    if (!pass.decode) {
      std::vector<SequenceView> views;
      for (const auto& s : pass.sequences)
        views.push_back({&s.embeddings, s.ids.data(), static_cast<int64_t>(s.ids.size())});
      return packed_embeddings(model_, views);
    }
    std::vector<int64_t> ids;
    for (const auto& s : pass.sequences)
      ids.push_back(s.token >= 0 ? s.token : last_[static_cast<size_t>(s.slot)]);
    return model_.embed(at::tensor(ids, at::kLong).to(model_.device()));
  }

  // Appends what `sequences` choose from their rows of float32 logits.
  void choose(std::span<const PassSequence* const> sequences, const at::Tensor& logits,
              Chosen& chosen) {
    const auto raw = at::log_softmax(logits, 1).cpu().contiguous();
    const auto scores = logits.cpu().contiguous();
    const auto vocabulary = static_cast<size_t>(scores.size(1));
    const size_t before = chosen.ids.size(), count = sequences.size();
    chosen.ids.resize(before + count);
    chosen.logprobs.resize(before + count);
    chosen.top.resize(before + count);
    at::parallel_for(0, static_cast<int64_t>(count), 1, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        const auto& sequence = *sequences[i];
        const float* logprobs = raw.const_data_ptr<float>() + i * vocabulary;
        const std::span<float> row(scores.data_ptr<float>() + i * vocabulary, vocabulary);
        process_logits(row, *sequence.sampling, sequence.history);
        const int64_t id = pick_token(row, *sequence.sampling, sequence.uniform);
        last_[static_cast<size_t>(sequence.slot)] = id;
        chosen.ids[before + i] = id;
        chosen.logprobs[before + i] = logprobs[id];
        if (sequence.top > 0)
          chosen.top[before + i] =
              best_of_row(logprobs, static_cast<int64_t>(vocabulary), sequence.top);
      }
    });
  }

  const Model& model_;
  const nn::KvCache& cache_;
  std::vector<int64_t> last_;  // chosen in each slot
  std::deque<Chosen> results_;
};

}  // namespace

std::unique_ptr<Runner> make_plain_runner(const Model& model, const nn::KvCache& cache,
                                          const RunnerOptions& options) {
  return std::make_unique<PlainRunner>(model, cache, options);
}

std::unique_ptr<Runner> make_runner(const Model& model, const nn::KvCache& cache,
                                    const RunnerOptions& options) {
#ifdef PREIMAGE_CUDA
  const auto& layers = model.attention_layers();
  if (std::all_of(layers.begin(), layers.end(), [&](const auto& heads) {
        return nn::decode_attention_supports(heads, model.dtype(), model.device());
      }))
    return make_cuda_runner(model, cache, options);
#endif
  return make_plain_runner(model, cache, options);
}

}  // namespace preimage::lm
