#include "sentence_tokens.hpp"

#include <algorithm>

namespace preimage::tools {
namespace {

constexpr const char* kSpace = " \t\n\v\f\r";

std::string stripped(const std::string& text) {
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string lowered(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace

std::vector<int64_t> pipeline_tokens(const text::Tokenizer& tokenizer, const std::string& text,
                                     const lm::SentencePipeline& pipeline) {
  const auto sentence = pipeline.lower_case() ? lowered(stripped(text)) : stripped(text);
  auto all = tokenizer.encode(sentence, {.add_special = true});
  const auto limit = static_cast<size_t>(pipeline.max_tokens());
  if (limit == 0 || all.size() <= limit) return all;
  // What the checkpoint puts around a text: the special tokens before and behind its own.
  const auto own = tokenizer.encode(sentence);
  const auto begin = std::search(all.begin(), all.end(), own.begin(), own.end());
  const size_t special = all.size() - own.size();
  if (begin == all.end() || special >= limit) {
    all.resize(limit);
    return all;
  }
  const auto end = begin + static_cast<int64_t>(own.size());
  all.erase(begin + static_cast<int64_t>(limit - special), end);
  return all;
}

}  // namespace preimage::tools
