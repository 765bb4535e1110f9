#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/lm/sequence_batch.hpp"

namespace preimage::lm {
namespace {

class SearchLoop {
 public:
  SearchLoop(SequenceBatch& batch, const std::vector<RowSearch*>& searches, RowChooser& chooser,
             const SearchOptions& options)
      : batch_(batch), searches_(searches), chooser_(chooser), options_(options) {}

  void run() {
    while (next_ < searches_.size() || !live_.empty()) {
      if (worth_starting()) start();
      if (!live_.empty()) advance();
    }
  }

 private:
  bool fits() const {
    return next_ < searches_.size() &&
           (live_.empty() || reserved_ + searches_[next_]->most_rows() <= options_.rows);
  }
  // Few prompts at a time waste the matrix products: wait until a quarter of the rows is free.
  bool worth_starting() const {
    return fits() && (live_.empty() || reserved_ <= options_.rows - options_.rows / 4);
  }

  void start() {
    std::vector<RowSearch*> fresh;
    std::vector<const SearchPrompt*> prompts;
    int64_t tokens = 0;
    while (next_ < searches_.size()) {
      auto* search = searches_[next_];
      const bool first = live_.empty() && fresh.empty();
      if (!first && reserved_ + search->most_rows() > options_.rows) break;
      tokens += search->prompt().tokens();
      if (!fresh.empty() && tokens > options_.prefill_tokens) break;
      reserved_ += search->most_rows();
      fresh.push_back(search);
      prompts.push_back(&search->prompt());
      ++next_;
    }
    chooser_.choose(fresh, batch_.start(prompts));
    for (auto* search : fresh) live_.push_back({search, 1});
  }

  void advance() {
    std::vector<int64_t> parents, tokens;
    std::vector<RowSearch*> going;
    std::vector<Lane> still;
    int64_t first = 0;
    for (const auto& lane : live_) {
      for (const auto& step : lane.search->next()) {
        parents.push_back(first + step.parent);
        tokens.push_back(step.token);
      }
      first += lane.rows;
      if (lane.search->next().empty()) {
        reserved_ -= lane.search->most_rows();
        continue;
      }
      going.push_back(lane.search);
      still.push_back({lane.search, static_cast<int64_t>(lane.search->next().size())});
    }
    live_ = std::move(still);
    const auto logits = batch_.advance(parents, tokens);
    if (!going.empty()) chooser_.choose(going, logits);
  }

  struct Lane {
    RowSearch* search;
    int64_t rows;  // that it has in the batch
  };
  SequenceBatch& batch_;
  const std::vector<RowSearch*>& searches_;
  RowChooser& chooser_;
  const SearchOptions& options_;
  std::vector<Lane> live_;
  int64_t reserved_ = 0;  // rows that the live searches may come to need
  size_t next_ = 0;
};

}  // namespace

int64_t SearchPrompt::tokens() const {
  return static_cast<int64_t>(ids.size()) + (embeddings.defined() ? embeddings.size(0) : 0);
}

void run_searches(SequenceBatch& batch, const std::vector<RowSearch*>& searches,
                  RowChooser& chooser, const SearchOptions& options) {
  base::check(options.rows > 0, "a search has room for a row");
  const at::NoGradGuard no_grad;
  SearchLoop(batch, searches, chooser, options).run();
}

}  // namespace preimage::lm
