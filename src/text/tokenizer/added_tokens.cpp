#include "tokenizer/added_tokens.hpp"

#include <algorithm>

#include "preimage/base/str.hpp"
#include "tokenizer/characters.hpp"
#include "tokenizer/pre_tokenizer.hpp"

namespace preimage::text {
namespace {

constexpr uint32_t kNoToken = UINT32_MAX;

// First byte of the last character of a text that is not empty.
size_t last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

std::string_view first_character(std::string_view text) {
  size_t length = 1;
  while (length < text.size() && (static_cast<uint8_t>(text[length]) & 0xC0) == 0x80) ++length;
  return text.substr(0, length);
}

char32_t decoded(std::string_view character) {
  char32_t c = 0;
  next_character(character, 0, c);
  return c;
}

}  // namespace

AddedToken read_added_token(const base::JsonNode& node) {
  AddedToken token;
  token.content = node.at("content").string();
  token.special = node.boolean_or("special", false);
  token.normalized = node.boolean_or("normalized", !token.special);
  token.single_word = node.boolean_or("single_word", false);
  token.lstrip = node.boolean_or("lstrip", false);
  token.rstrip = node.boolean_or("rstrip", false);
  return token;
}

uint32_t AddedVocabulary::next_id() const {
  const auto size = static_cast<uint32_t>(model_.size());
  return tokens_.empty() ? size : std::max(size, tokens_.rbegin()->first + 1);
}

std::optional<uint32_t> AddedVocabulary::id_of(std::string_view content) const {
  const auto it = ids_.find(content);
  return it == ids_.end() ? std::nullopt : std::optional(it->second);
}

void AddedVocabulary::add(const AddedToken& token) {
  if (token.content.empty()) return;
  uint32_t id = next_id();
  if (const auto known = ids_.find(token.content); known != ids_.end()) {
    id = known->second;
  } else if (const auto of_model = model_.find(token.content); of_model != model_.end()) {
    id = of_model->second;
  }
  put(id, token);
}

void AddedVocabulary::put(uint32_t id, const AddedToken& token) {
  if (token.content.empty()) return;
  if (token.special) special_.insert(token.content);
  if (token.normalized) normalized_.insert(id);
  ids_.insert_or_assign(token.content, id);
  tokens_.insert_or_assign(id, token);
}

void read_added_tokens(const base::JsonNode& list, AddedVocabulary& out) {
  for (size_t i = 0; i < list.size(); ++i) {
    const auto node = list.at(i);
    const AddedToken token = read_added_token(node);
    const auto id = node.at("id").integer(0, kMaxTokenId);
    if (token.content.empty()) continue;  // the reference passes over it and gives it no id
    if (out.id_of(token.content)) node.fail(base::str("\"", token.content, "\" is added twice"));
    out.add(token);
    const auto expected = *out.id_of(token.content);
    if (id == expected) continue;
    node.at("id").fail(base::str("\"", token.content, "\" has id ", id, ", expected ", expected,
                                 " (its id in the vocabulary, or the next one behind it)"));
  }
}

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedPattern> patterns)
    : patterns_(std::move(patterns)), ends_{kNoToken} {
  for (uint32_t pattern = 0; pattern < patterns_.size(); ++pattern) {
    uint32_t node = 0;
    for (const char c : patterns_[pattern].text) {
      const uint64_t edge = uint64_t{node} << 8 | static_cast<uint8_t>(c);
      const auto [it, inserted] = children_.emplace(edge, static_cast<uint32_t>(ends_.size()));
      if (inserted) ends_.push_back(kNoToken);
      node = it->second;
    }
    if (node == 0) continue;
    first_bytes_.set(static_cast<uint8_t>(patterns_[pattern].text[0]));
    if (ends_[node] == kNoToken) ends_[node] = pattern;
  }
}

std::optional<AddedTokenMatcher::Hit> AddedTokenMatcher::longest_at(std::string_view text,
                                                                    size_t at) const {
  std::optional<Hit> best;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto it = children_.find(uint64_t{node} << 8 | static_cast<uint8_t>(text[i]));
    if (it == children_.end()) break;
    node = it->second;
    if (ends_[node] != kNoToken) best = Hit{ends_[node], i + 1 - at};
  }
  return best;
}

bool AddedTokenMatcher::word_beside(std::string_view text, const Span& match) const {
  const auto before = text.substr(0, match.begin);
  const auto after = text.substr(match.end);
  return (!before.empty() && is_word(decoded(before.substr(last_character(before))))) ||
         (!after.empty() && is_word(decoded(first_character(after))));
}

std::vector<Section> AddedTokenMatcher::cut(std::string_view text, bool parse_special) const {
  std::vector<Section> out;
  size_t start = 0;  // end of the last section
  for (size_t at = 0; at < text.size();) {
    if (!first_bytes_.test(static_cast<uint8_t>(text[at]))) {
      ++at;
      continue;
    }
    const auto hit = longest_at(text, at);
    if (!hit) {
      ++at;
      continue;
    }
    Span match{at, at + hit->length};
    at = match.end;  // rejected matches are consumed too, as in the reference
    const auto& token = patterns_[hit->pattern].flags;
    if (!parse_special && token.special) continue;
    if (token.single_word && word_beside(text, match)) continue;
    if (token.lstrip) {
      while (match.begin > start) {
        const size_t last = last_character(text.substr(0, match.begin));
        if (!is_white_space(decoded(text.substr(last, match.begin - last)))) break;
        match.begin = last;
      }
      match.begin = std::max(match.begin, start);
    }
    if (token.rstrip) {
      while (match.end < text.size()) {
        const auto next = first_character(text.substr(match.end));
        if (!is_white_space(decoded(next))) break;
        match.end += next.size();
      }
    }
    if (start < match.begin) out.push_back({{start, match.begin}, std::nullopt});
    out.push_back({match, patterns_[hit->pattern].id});
    start = match.end;
  }
  if (start < text.size()) out.push_back({{start, text.size()}, std::nullopt});
  return out;
}

}  // namespace preimage::text
