#include "token_swaps.hpp"

#include <algorithm>

#include "operators.hpp"
#include "preimage/base/str.hpp"

namespace preimage::ips {
namespace {

using base::str;
using Ids = std::vector<int64_t>;
// Swaps that are drawn for each candidate that comes of them: others are no fixed point of the
// tokenizer, or were seen.
constexpr int64_t kDrawsPerCandidate = 8;
constexpr int kPromptAttempts = 50;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

bool is_readable_token(const std::string& text) {
  const auto word = text.substr(!text.empty() && text[0] == ' ' ? 1 : 0);
  if (word.empty()) return false;
  if (word.size() == 1 && std::string(".,;:").find(word[0]) != std::string::npos) return true;
  return std::all_of(word.begin(), word.end(), is_letter) ||
         std::all_of(word.begin(), word.end(), is_digit);
}

std::vector<bool> readable_tokens(const text::Tokenizer& tokenizer) {
  std::vector<bool> out(static_cast<size_t>(tokenizer.id_limit()));
  for (size_t id = 0; id < out.size(); ++id) {
    const auto i = static_cast<int64_t>(id);
    out[id] = !tokenizer.is_special(i) && is_readable_token(tokenizer.decode_raw({i}));
  }
  return out;
}

TokenSwaps::TokenSwaps(const ArmInputs& inputs, const SwapOptions& options, bool readable)
    : inputs_(inputs), options_(options) {
  for (size_t id = 0; id < inputs.readable.size(); ++id) {
    const auto i = static_cast<int64_t>(id);
    if (readable ? inputs.readable[id]
                 : !inputs.tokenizer.is_special(i) && inputs.tokenizer.id_to_token(i).has_value())
      allowed_.push_back(i);
  }
}

// Tokens that stand for themselves: the text that they give is read as the same tokens.
std::string TokenSwaps::random_prompt(int64_t tokens, Draws& draws) const {
  std::string text;
  for (int i = 0; i < kPromptAttempts; ++i) {
    Ids ids;
    for (int64_t t = 0; t < tokens; ++t) ids.push_back(draws.pick(allowed_));
    text = tidy(inputs_.tokenizer.decode(ids));
    if (std::ssize(prompt_tokens(inputs_.tokenizer, text)) == tokens) return text;
  }
  return cut(inputs_.tokenizer, text, tokens);
}

std::vector<Ask> TokenSwaps::ask() {
  if (!ended_.empty()) return {};
  if (phase_ == Phase::gradient) return {{.kind = Ask::Kind::gradient, .text = best_}};
  if (phase_ == Phase::candidates) {
    auto out = candidates();
    if (!out.empty()) return out;
    // No gradient, or no swap was a fixed point of the tokenizer: this prompt leads nowhere.
    Draws draws(inputs_.run_seed, inputs_.name, str("stuck ", step_++));
    grow(draws);
  }
  if (best_.empty()) {
    Draws draws(inputs_.run_seed, inputs_.name, "start");
    best_ = random_prompt(std::min(options_.start_tokens, inputs_.target.most_tokens), draws);
  }
  return {{.text = best_, .operation = "start"}};
}

std::vector<Ask> TokenSwaps::candidates() {
  Draws draws(inputs_.run_seed, inputs_.name, str("step ", step_));
  const auto ids = prompt_tokens(inputs_.tokenizer, best_);
  // Where the prompt's tokens join their neighbours in the template they have no gradient of their
  // own.
  if (swaps_.size() != ids.size()) return {};
  std::set<std::string> seen = {best_};
  std::vector<Ask> out;
  for (int64_t i = 0;
       i < kDrawsPerCandidate * options_.candidates && std::ssize(out) < options_.candidates; ++i) {
    auto swapped = ids;
    const auto place = static_cast<size_t>(draws.below(std::ssize(ids)));
    swapped[place] = draws.pick(swaps_[place]);
    auto text = inputs_.tokenizer.decode(swapped);
    if (prompt_tokens(inputs_.tokenizer, text) != swapped || !seen.insert(text).second) continue;
    out.push_back({.text = std::move(text), .operation = "swap", .parents = {best_index_}});
  }
  return out;
}

void TokenSwaps::restart(const std::string& text) {
  best_ = text;
  steps_here_ = 0;
  phase_ = Phase::start;
}

void TokenSwaps::grow(Draws& draws) {
  const auto ids = prompt_tokens(inputs_.tokenizer, best_);
  const int64_t size = std::min(std::ssize(ids) + options_.growth, inputs_.target.most_tokens);
  // At the longest length another start is the only thing that is left to try.
  restart(size == std::ssize(ids)
              ? random_prompt(size, draws)
              : tidy(best_ + " " + random_prompt(size - std::ssize(ids), draws)));
  best_ = cut(inputs_.tokenizer, best_, inputs_.target.most_tokens);
}

void TokenSwaps::shrink(Draws& draws) {
  auto ids = prompt_tokens(inputs_.tokenizer, best_);
  if (ids.size() < 2) {
    ended_ = "shortest";
    return;
  }
  ids.erase(ids.begin() + draws.below(std::ssize(ids)));
  restart(tidy(inputs_.tokenizer.decode(ids)));
}

void TokenSwaps::tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) {
  if (replies.empty()) return;
  if (asked[0].kind == Ask::Kind::gradient) {
    swaps_ = *replies[0].swaps;
    phase_ = Phase::candidates;
    return;
  }
  Draws draws(inputs_.run_seed, inputs_.name, str("after ", step_));
  ++step_, ++steps_here_;
  bool success = false;
  // The best candidate is gone on with even where it is worse than its parent, as in GCG: the
  // smallest loss so far would be a trap. At the start there is only the prompt itself.
  int64_t chosen = 0;
  for (size_t i = 0; i < replies.size(); ++i) {
    const auto& one = replies[i];
    if (one.accepted) success = true, best_ = asked[i].text;
    if (one.terms->nll < replies[static_cast<size_t>(chosen)].terms->nll)
      chosen = static_cast<int64_t>(i);
  }
  if (success) return shrink(draws);
  best_ = asked[static_cast<size_t>(chosen)].text;
  best_index_ = replies[static_cast<size_t>(chosen)].index;
  phase_ = Phase::gradient;
  if (steps_here_ > options_.steps) grow(draws);
}

void SwapOptions::fields(base::Fields& f) {
  f.add("top", top, {.help = "tokens that the gradient suggests for each place", .min = 1});
  f.add("candidates", candidates, {.help = "prompts of a step", .min = 1});
  f.add("start_tokens", start_tokens, {.help = "of the first prompt", .unit = "tokens", .min = 1});
  f.add("steps", steps, {.help = "without success before the prompt grows", .min = 1});
  f.add("growth", growth, {.help = "tokens that it grows by", .unit = "tokens", .min = 1});
}

}  // namespace preimage::ips
