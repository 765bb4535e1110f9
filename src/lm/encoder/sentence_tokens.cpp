#include "encoder/sentence_tokens.hpp"

#include <algorithm>

namespace preimage::lm {
namespace {

std::vector<int64_t> cut_tokens(const text::Tokenizer& tokenizer, const std::string& text,
                                const SentenceText& settings) {
  auto all = tokenizer.encode(text, {.add_special = true, .lower_case = settings.lower_case});
  const auto limit = static_cast<size_t>(settings.max_tokens);
  if (limit == 0 || all.size() <= limit) return all;
  // What the checkpoint puts around a text: the special tokens before and behind its own.
  const auto own = tokenizer.encode(text, {.lower_case = settings.lower_case});
  const auto begin = std::search(all.begin(), all.end(), own.begin(), own.end());
  const size_t special = all.size() - own.size();
  if (begin == all.end() || special >= limit) {
    all.resize(limit);
    return all;
  }
  const auto kept = static_cast<int64_t>(limit - special), size = static_cast<int64_t>(own.size());
  if (settings.cut_left || tokenizer.truncates_left()) {
    all.erase(begin, begin + (size - kept));
  } else {
    all.erase(begin + kept, begin + size);
  }
  return all;
}

}  // namespace

SentenceTokens pipeline_tokens(const text::Tokenizer& tokenizer, const std::string& prompt,
                               const std::string& text, const SentenceText& settings) {
  SentenceTokens out{.ids = cut_tokens(tokenizer, prompt + text, settings), .skip = 0};
  if (prompt.empty() || settings.include_prompt) return out;
  // The library counts the tokens of the prompt alone, less a special token at its end.
  const auto alone = cut_tokens(tokenizer, prompt, settings);
  out.skip = static_cast<int64_t>(alone.size());
  if (!alone.empty() && tokenizer.is_special(alone.back())) --out.skip;
  return out;
}

}  // namespace preimage::lm
