#include "ladder.hpp"

#include <algorithm>
#include <set>

#include "preimage/base/error.hpp"

namespace preimage::lipo {

Ladder::Ladder(const bo::HyperbandOptions& options, int64_t items, int64_t pool)
    : options_(options),
      items_(items),
      pool_(pool),
      brackets_(bo::hyperband_brackets(items, pool, options)) {}

std::vector<bo::ErrorCount> Ladder::observations() const {
  if (options_.proposals == "random") return {};
  return bo::model_observations(counts_, items_, options_);
}

std::vector<int64_t> Ladder::fidelities() const {
  std::set<int64_t> out = {items_};
  for (const auto& bracket : brackets_) {
    for (const auto& one : bracket.stages) out.insert(one.items);
  }
  return {out.begin(), out.end()};
}

int64_t Ladder::proposals_wanted() const {
  if (finished() || stage_ > 0) return 0;
  const int64_t made = std::ssize(bracket_entries_);
  if (evaluated_ < made) return 0;
  const int64_t left = stage().candidates - made;
  if (left == 0 || options_.proposals == "random") return left;
  // An evaluation at this bracket's first level changes the data where it is, or comes to be, the
  // level that the data is of.
  const int64_t level = stage().items;
  const auto data = observations();
  if (options_.proposals == "min_pct") {
    const auto least =
        static_cast<int64_t>(options_.min_fidelity_pct * static_cast<double>(items_));
    return level < least ? left : 1;
  }
  int64_t of_data = 0;
  for (const auto& one : data) of_data = std::max(of_data, one.items);
  if (of_data > level) return left;
  const int64_t lacking = options_.min_observations - std::ssize(counts_.level(level));
  return std::clamp<int64_t>(lacking, 1, left);
}

std::vector<int64_t> Ladder::free() const {
  std::vector<bool> taken(static_cast<size_t>(pool_), false);
  for (const auto& entry : bracket_entries_) taken[static_cast<size_t>(entry.candidate)] = true;
  std::vector<int64_t> out;
  for (int64_t i = 0; i < pool_; ++i) {
    if (!taken[static_cast<size_t>(i)]) out.push_back(i);
  }
  return out;
}

void Ladder::propose(const std::vector<Proposed>& proposed) {
  for (const auto& one : proposed) {
    bracket_entries_.push_back({.bracket = bracket(),
                                .stage = 0,
                                .items = stage().items,
                                .candidate = one.candidate,
                                .number = number_++,
                                .by_model = one.by_model,
                                .score = one.score});
  }
}

Ladder::Wanted Ladder::evaluations() const {
  Wanted out{{}, stage().items};
  for (int64_t i = evaluated_; i < std::ssize(bracket_entries_); ++i)
    out.candidates.push_back(bracket_entries_[static_cast<size_t>(i)].candidate);
  return out;
}

void Ladder::evaluated(const BitTable& bits, const std::vector<Instruction>& pool) {
  for (; evaluated_ < std::ssize(bracket_entries_); ++evaluated_) {
    auto& entry = bracket_entries_[static_cast<size_t>(evaluated_)];
    const auto& text = pool[static_cast<size_t>(entry.candidate)].text;
    entry.wrong = bits.wrong(text, entry.items);
    entry.calls = ledger.pay(text, entry.items);
    counts_.add({entry.candidate, entry.wrong, entry.items});
  }
  if (evaluated_ == stage().candidates) advance();
}

void Ladder::advance() {
  std::vector<bo::ErrorCount> results;
  for (const auto& entry : bracket_entries_)
    results.push_back({entry.candidate, entry.wrong, entry.items});
  if (first_choice_ < 0) first_choice_ = bo::keep_best(results, 1).front().candidate;
  const bool last = stage_ + 1 == std::ssize(now().stages);
  const int64_t keep = last ? 1 : now().stages[static_cast<size_t>(stage_ + 1)].candidates;
  const auto kept = bo::keep_best(results, keep);
  std::vector<LadderEntry> next;
  for (const auto& one : kept) {
    for (auto& entry : bracket_entries_) {
      if (entry.candidate != one.candidate) continue;
      entry.kept = true;
      next.push_back(entry);
    }
  }
  entries_.insert(entries_.end(), bracket_entries_.begin(), bracket_entries_.end());
  bracket_entries_.clear();
  evaluated_ = 0;
  if (last) {
    ++bracket_;
    stage_ = 0;
    return;
  }
  ++stage_;
  for (auto& entry : next) {
    entry.stage = stage_;
    entry.items = stage().items;
    entry.wrong = entry.calls = 0;
    entry.kept = false;
    bracket_entries_.push_back(entry);
  }
}

}  // namespace preimage::lipo
