// WordPiece (Wu et al., "Google's neural machine translation system", 2016; greedy longest match as
// in BERT) and WordLevel.
#include <algorithm>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "tokenizer/model.hpp"

namespace preimage::text {
namespace {

bool is_continuation(char c) {
  return (static_cast<uint8_t>(c) & 0xC0) == 0x80;
}

struct WordPieceOptions {
  std::optional<uint32_t> unk;
  std::string prefix = "##";
  int64_t max_characters = 100;
  std::string place;
};

class WordPiece : public Model {
 public:
  WordPiece(Vocabulary vocabulary, WordPieceOptions options)
      : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
    for (const auto& [token, id] : vocabulary_) longest_ = std::max(longest_, token.size());
  }
  const Vocabulary& vocabulary() const override { return vocabulary_; }

  void tokenize(const Pieces& pieces, std::vector<int64_t>& ids,
                std::vector<Span>* places) const override {
    std::string candidate;
    std::vector<Span> parts;
    for (const auto& span : pieces.spans) {
      const size_t before = ids.size();
      parts.clear();
      if (!one_word(pieces.view(span), candidate, ids, parts)) {
        ids.resize(before);
        if (!options_.unk) throw base::data_error(options_.place + ": the unk_token is no token");
        ids.push_back(*options_.unk);
        parts.assign(1, {0, span.end - span.begin});
      }
      if (places == nullptr) continue;
      for (const auto& part : parts)
        places->push_back({span.begin + part.begin, span.begin + part.end});
    }
  }

 private:
  bool one_word(std::string_view word, std::string& candidate, std::vector<int64_t>& ids,
                std::vector<Span>& parts) const {
    const auto characters =
        std::count_if(word.begin(), word.end(), [](char c) { return !is_continuation(c); });
    if (characters > options_.max_characters) return false;
    for (size_t start = 0; start < word.size();) {
      size_t end = std::min(word.size(), start + longest_);
      while (end < word.size() && is_continuation(word[end])) --end;
      const auto found = longest(word, start, end, candidate);
      if (!found) return false;
      ids.push_back(*found);
      parts.push_back({start, end});
      start = end;
    }
    return true;
  }

  // The longest token that is text from `start` on, at most to `end`, which is set to its end.
  std::optional<uint32_t> longest(std::string_view word, size_t start, size_t& end,
                                  std::string& candidate) const {
    candidate.assign(start > 0 ? options_.prefix : "");
    const size_t head = candidate.size();
    candidate.append(word.substr(start, end - start));
    while (end > start) {
      const auto it = vocabulary_.find(std::string_view(candidate));
      if (it != vocabulary_.end()) return it->second;
      do --end;
      while (end > start && is_continuation(word[end]));
      candidate.resize(head + end - start);
    }
    return std::nullopt;
  }

  Vocabulary vocabulary_;
  WordPieceOptions options_;
  size_t longest_ = 0;  // bytes of the longest token
};

class WordLevel : public Model {
 public:
  WordLevel(Vocabulary vocabulary, std::optional<uint32_t> unk, std::string place)
      : vocabulary_(std::move(vocabulary)), unk_(unk), place_(std::move(place)) {}
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  void tokenize(const Pieces& pieces, std::vector<int64_t>& ids,
                std::vector<Span>* places) const override {
    if (places != nullptr) places->insert(places->end(), pieces.spans.begin(), pieces.spans.end());
    for (const auto& span : pieces.spans) {
      const auto it = vocabulary_.find(pieces.view(span));
      if (it == vocabulary_.end() && !unk_) {
        throw base::data_error(base::str(place_, ": no token for \"", pieces.view(span),
                                         "\", and the unk_token is no token"));
      }
      ids.push_back(it == vocabulary_.end() ? *unk_ : it->second);
    }
  }

 private:
  Vocabulary vocabulary_;
  std::optional<uint32_t> unk_;
  std::string place_;
};

std::optional<uint32_t> find_unk(const base::JsonNode& node, const Vocabulary& vocabulary) {
  const auto it = vocabulary.find(node.string_or("unk_token", "[UNK]"));
  return it == vocabulary.end() ? std::nullopt : std::optional(it->second);
}

}  // namespace

std::unique_ptr<const Model> make_word_piece(const base::JsonNode& node, JsonTables* tables) {
  Vocabulary vocabulary = take_vocabulary(node, tables);
  WordPieceOptions options;
  options.unk = find_unk(node, vocabulary);
  options.prefix = node.string_or("continuing_subword_prefix", "##");
  if (const auto limit = node.find("max_input_chars_per_word")) {
    options.max_characters = limit->integer(0, 1 << 20);
  }
  options.place = node.place();
  return std::make_unique<WordPiece>(std::move(vocabulary), std::move(options));
}

std::unique_ptr<const Model> make_word_level(const base::JsonNode& node, JsonTables* tables) {
  Vocabulary vocabulary = take_vocabulary(node, tables);
  const auto unk = find_unk(node, vocabulary);
  return std::make_unique<WordLevel>(std::move(vocabulary), unk, node.place());
}

}  // namespace preimage::text
