#include "arms/preferences.hpp"

#include "operators.hpp"
#include "preimage/base/str.hpp"

namespace preimage::ips {
namespace {

constexpr int64_t kBarrenBlocks = 8, kDrawsOfAPair = 20;

}  // namespace

std::vector<std::pair<std::string, std::string>> Preferences::draw_pairs() const {
  std::vector<std::pair<std::string, std::string>> out;
  if (tried_.size() < 2) return out;
  Draws draws(inputs_.run_seed, inputs_.name, base::str("pairs ", blocks_));
  std::set<std::pair<const Tried*, const Tried*>> seen;
  for (int64_t i = 0; i < kDrawsOfAPair * options_.pairs && std::ssize(out) < options_.pairs; ++i) {
    const Tried *a = &draws.pick(tried_), *b = &draws.pick(tried_);
    if (a->fitness < b->fitness) std::swap(a, b);
    if (a->fitness - b->fitness < options_.gap || !seen.insert({a, b}).second) continue;
    out.emplace_back(a->text, b->text);
  }
  return out;
}

std::vector<Ask> Preferences::ask() {
  if (!ended_.empty()) return {};
  if (!pending_.empty()) return pending_;
  Ask ask{.kind = Ask::Kind::propose, .first = drawn_, .count = proposals_.block};
  ask.pairs = draw_pairs();
  if (ask.pairs.empty()) return {ask};
  ask.kind = Ask::Kind::prefer;
  ask.gradients = 2 * std::ssize(ask.pairs) * options_.training.epochs;
  return {ask};
}

void Preferences::take_texts(const std::vector<std::string>& texts) {
  drawn_ += proposals_.block;
  ++blocks_;
  for (const auto& text : texts) {
    auto prompt = cut(inputs_.tokenizer, tidy(text), inputs_.target.most_tokens);
    if (prompt.empty() || !seen_.insert(folded(prompt)).second) continue;
    pending_.push_back({.text = std::move(prompt), .operation = tuned_ ? "tuned" : "proposal"});
  }
  barren_ = pending_.empty() ? barren_ + 1 : 0;
  if (barren_ >= kBarrenBlocks) ended_ = "nothing new proposed";
}

void Preferences::tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) {
  if (replies.empty()) {
    pending_.clear();
  } else if (asked[0].kind == Ask::Kind::evaluate) {
    double sum = 0;
    for (size_t i = 0; i < replies.size(); ++i) {
      tried_.push_back({asked[i].text, replies[i].fitness.value});
      sum += replies[i].fitness.value;
    }
    if (tuned_) updates_.back().episode_return = sum / static_cast<double>(replies.size());
    pending_.clear();
  } else {
    tuned_ = replies[0].training != nullptr;
    if (tuned_) {
      updates_.push_back(*replies[0].training);
      updates_.back().update = std::ssize(updates_) - 1;
      updates_.back().episode_return = kUndefined;
    }
    take_texts(*replies[0].texts);
  }
}

void PreferenceSearchOptions::fields(base::Fields& f) {
  f.add("pairs", pairs, {.help = "of a training, at most", .min = 1});
  f.add("gap", gap, {.help = "of Fit between the prompts of a pair, at least", .min = 0});
  training.fields(f);
}

}  // namespace preimage::ips
