#include "negative.hpp"

#include <algorithm>

#include "arms/draws.hpp"
#include "arms/operators.hpp"
#include "preimage/base/str.hpp"

namespace preimage::ips {
namespace {

constexpr int64_t kNoiseTokens = 8;  // where no good prompt says how long they are

std::string capitals(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

std::string noise(const Setup& setup, const Target& target, int64_t tokens, int64_t draw) {
  Draws draws(setup.seed, "negative/" + target.id, base::str("noise ", draw));
  const auto& tokenizer = setup.model.tokenizer;
  std::vector<int64_t> ids;
  while (std::ssize(ids) < tokens) {
    const int64_t id = draws.below(tokenizer.id_limit());
    if (!tokenizer.is_special(id) && tokenizer.id_to_token(id)) ids.push_back(id);
  }
  return tokenizer.decode(ids);
}

void add_target(const Setup& setup, int64_t index, const std::string* good,
                std::vector<NegativeTest>& out) {
  const auto& target = setup.targets[static_cast<size_t>(index)];
  const auto& tokenizer = setup.model.tokenizer;
  const auto add = [&](const char* test, std::string prompt) {
    out.push_back({index, test, std::move(prompt)});
  };
  int64_t tokens = std::min(kNoiseTokens, target.most_tokens);
  add("too_short", "");
  if (good) {
    tokens = std::ssize(prompt_tokens(tokenizer, *good));
    add("too_short", cut(tokenizer, *good, 1));
    add("too_short", cut(tokenizer, *good, 2));
  }
  for (int64_t i = 0; i < setup.config.negative.noise_draws; ++i)
    add("noise", noise(setup, target, tokens, i));
  const auto beginning = cut(tokenizer, target.normal, target.most_tokens);
  add("copy", target.normal);
  add("copy", beginning);
  add("print_target", "Print this code: " + target.normal);
  add("print_target", "Print this code: " + cut(tokenizer, target.normal,
                                                std::max<int64_t>(4, target.most_tokens - 4)));
  add("print_bare", "Print this code");
  add("case", cut(tokenizer, capitals(target.normal), target.most_tokens));
  add("white_space", tidy(target.normal));
}

}  // namespace

std::vector<NegativeTest> negative_tests(const Setup& setup, const std::vector<GoodPrompt>& good) {
  std::vector<NegativeTest> out;
  for (int64_t t = 0; t < std::ssize(setup.targets); ++t) {
    const auto own = std::find_if(good.begin(), good.end(),
                                  [&](const GoodPrompt& one) { return one.target == t; });
    add_target(setup, t, own == good.end() ? nullptr : &own->text, out);
  }
  int64_t pairs = 0;
  for (const auto& one : good) {
    for (int64_t t = 0; t < std::ssize(setup.targets); ++t) {
      if (t == one.target || pairs == setup.config.decide.false_pairs) continue;
      out.push_back({t, "wrong_target", one.text});
      ++pairs;
    }
  }
  for (const auto& one : good) out.push_back({one.target, "positive", one.text});
  return out;
}

bool as_expected(const NegativeTest& test, const Verdict& v) {
  if (test.test == "positive") return v.holds();
  if (v.holds()) return false;
  if (test.test == "too_short") return !v.r1 || !v.r4;
  if (test.test == "copy") return !v.r1 || !v.r2;
  if (test.test == "print_target") return !v.r1 || !v.r2 || !v.r6;
  if (test.test == "case" || test.test == "white_space") return !v.r1 || !v.r2;
  return !v.r4;  // noise, print_bare, wrong_target: the model does not write it
}

}  // namespace preimage::ips
