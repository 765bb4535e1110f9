// Byte pair encoding as tokenizer.json describes it: Sennrich, Haddow, Birch, "Neural machine
// translation of rare words with subword units", ACL 2016; edge cases as in huggingface/tokenizers.
#include <algorithm>
#include <queue>
#include <unordered_map>

#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "tokenizer/models/bpe.hpp"

namespace preimage::text {
namespace {

constexpr uint32_t kNone = UINT32_MAX;
// Words up to this many symbols are merged by scanning: quadratic, but faster than a heap.
constexpr size_t kScanLimit = 32;
// Texts shorter than this are not worth a cache; a cache holds at most so many words, none longer.
constexpr size_t kCacheFromBytes = 512;
constexpr size_t kCacheWords = 1 << 16;
constexpr size_t kCacheWordBytes = 64;

struct Merge {
  uint32_t rank = kNone;
  uint32_t id = 0;  // of the merged token
};

// (left id, right id) -> merge: open addressing, since this is the innermost lookup.
class MergeTable {
 public:
  explicit MergeTable(size_t count) {
    size_t capacity = 16;
    while (capacity < 2 * count) capacity *= 2;
    slots_.resize(capacity);
  }
  void set(uint32_t left, uint32_t right, Merge merge) {
    Slot& slot = slots_[find(key(left, right))];
    slot = {key(left, right), merge};
  }
  Merge get(uint32_t left, uint32_t right) const { return slots_[find(key(left, right))].merge; }

 private:
  struct Slot {
    uint64_t key = UINT64_MAX;
    Merge merge;
  };
  static uint64_t key(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }
  size_t find(uint64_t wanted) const {
    const size_t mask = slots_.size() - 1;
    size_t at = (wanted * 0x9E3779B97F4A7C15ull >> 20) & mask;
    while (slots_[at].key != wanted && slots_[at].key != UINT64_MAX) at = (at + 1) & mask;
    return at;
  }
  std::vector<Slot> slots_;
};

class Bpe : public Model {
 public:
  Bpe(Vocabulary vocabulary, MergeTable merges, BpeOptions options)
      : vocabulary_(std::move(vocabulary)),
        merges_(std::move(merges)),
        options_(std::move(options)) {
    plain_ = options_.prefix.empty() && options_.suffix.empty();
    letters_.assign(0x180, kNone);
    for (char32_t c = 0; c < letters_.size(); ++c) {
      std::string text;
      base::append_utf8(c, text);
      if (const auto it = vocabulary_.find(text); it != vocabulary_.end()) letters_[c] = it->second;
    }
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }

  void tokenize(const Pieces& pieces, std::vector<int64_t>& ids) const override {
    std::vector<uint32_t> symbols;
    // The cache lives for one call, so calls on other threads share nothing.
    struct Range {
      uint32_t begin, end;
    };
    std::unordered_map<std::string_view, Range> cache;
    std::vector<int64_t> cached;
    const bool use_cache = pieces.text.size() >= kCacheFromBytes;
    for (const auto& span : pieces.spans) {
      const auto word = pieces.view(span);
      const bool cacheable = use_cache && word.size() <= kCacheWordBytes;
      if (cacheable) {
        if (const auto it = cache.find(word); it != cache.end()) {
          ids.insert(ids.end(), cached.begin() + it->second.begin, cached.begin() + it->second.end);
          continue;
        }
      }
      const size_t before = ids.size();
      one_word(word, symbols, ids);
      if (cacheable && cache.size() < kCacheWords) {
        const auto begin = static_cast<uint32_t>(cached.size());
        cached.insert(cached.end(), ids.begin() + static_cast<ptrdiff_t>(before), ids.end());
        cache.emplace(word, Range{begin, static_cast<uint32_t>(cached.size())});
      }
    }
  }

 private:
  void one_word(std::string_view word, std::vector<uint32_t>& symbols,
                std::vector<int64_t>& ids) const {
    if (options_.ignore_merges) {
      if (const auto it = vocabulary_.find(word); it != vocabulary_.end()) {
        ids.push_back(it->second);
        return;
      }
    }
    symbols.clear();
    split_characters(word, symbols);
    if (symbols.size() <= kScanLimit) {
      merge_by_scan(symbols);
    } else {
      merge_by_heap(symbols);
    }
    ids.insert(ids.end(), symbols.begin(), symbols.end());
  }

  uint32_t id_of(std::string_view text) const {
    const auto it = vocabulary_.find(text);
    return it == vocabulary_.end() ? kNone : it->second;
  }

  void split_characters(std::string_view word, std::vector<uint32_t>& symbols) const {
    uint32_t unk = kNone;  // an unknown token that may still be joined by its neighbour
    for (size_t at = 0; at < word.size();) {
      const auto lead = static_cast<uint8_t>(word[at]);
      const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
      const auto character = word.substr(at, length);
      const uint32_t id =
          plain_ ? id_of_plain(character) : id_of_affixed(character, at, word.size());
      at += length;
      if (id != kNone) {
        if (unk != kNone) symbols.push_back(unk);
        unk = kNone;
        symbols.push_back(id);
      } else if (!(options_.byte_fallback && push_bytes(character, symbols)) && options_.unk) {
        if (unk != kNone && !options_.fuse_unk) symbols.push_back(unk);
        unk = *options_.unk;
      }
    }
    if (unk != kNone) symbols.push_back(unk);
  }

  uint32_t id_of_plain(std::string_view character) const {
    const auto lead = static_cast<uint8_t>(character[0]);
    if (character.size() == 1) return letters_[lead];
    if (lead < 0xC6)
      return letters_[(lead & 0x1F) << 6 | (static_cast<uint8_t>(character[1]) & 0x3F)];
    return id_of(character);
  }

  uint32_t id_of_affixed(std::string_view character, size_t at, size_t size) const {
    std::string text(character);
    if (at > 0) text = options_.prefix + text;
    if (at + character.size() == size) text += options_.suffix;
    return id_of(text);
  }

  bool push_bytes(std::string_view character, std::vector<uint32_t>& symbols) const {
    static constexpr char kHex[] = "0123456789ABCDEF";
    uint32_t found[4];
    for (size_t i = 0; i < character.size(); ++i) {
      const auto byte = static_cast<uint8_t>(character[i]);
      const char name[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
      found[i] = id_of({name, sizeof name});
      if (found[i] == kNone) return false;
    }
    symbols.insert(symbols.end(), found, found + character.size());
    return true;
  }

  void merge_by_scan(std::vector<uint32_t>& symbols) const {
    Merge merges[kScanLimit + 1];  // of symbol i with symbol i + 1
    size_t count = symbols.size();
    for (size_t i = 0; i + 1 < count; ++i) merges[i] = merges_.get(symbols[i], symbols[i + 1]);
    while (count > 1) {
      size_t best = 0;
      for (size_t i = 1; i + 1 < count; ++i) {
        if (merges[i].rank < merges[best].rank) best = i;
      }
      if (merges[best].rank == kNone) break;
      symbols[best] = merges[best].id;
      for (size_t i = best + 1; i + 1 < count; ++i) {
        symbols[i] = symbols[i + 1];
        merges[i] = merges[i + 1];
      }
      --count;
      if (best > 0) merges[best - 1] = merges_.get(symbols[best - 1], symbols[best]);
      if (best + 1 < count) merges[best] = merges_.get(symbols[best], symbols[best + 1]);
    }
    symbols.resize(count);
  }

  // O(n log n) for long words: a run of 100,000 spaces is one word.
  void merge_by_heap(std::vector<uint32_t>& symbols) const {
    struct Candidate {
      uint32_t rank, position, id, left, right;
      bool operator>(const Candidate& other) const {
        return rank != other.rank ? rank > other.rank : position > other.position;
      }
    };
    const auto count = static_cast<uint32_t>(symbols.size());
    std::vector<uint32_t> next(count), previous(count);
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap;
    const auto offer = [&](uint32_t left, uint32_t right) {
      const auto merge = merges_.get(symbols[left], symbols[right]);
      if (merge.rank != kNone)
        heap.push({merge.rank, left, merge.id, symbols[left], symbols[right]});
    };
    for (uint32_t i = 0; i < count; ++i) {
      next[i] = i + 1 < count ? i + 1 : kNone;
      previous[i] = i > 0 ? i - 1 : kNone;
    }
    for (uint32_t i = 0; i + 1 < count; ++i) offer(i, i + 1);
    while (!heap.empty()) {
      const auto top = heap.top();
      heap.pop();
      const uint32_t left = top.position;
      const uint32_t right = next[left];
      // Stale: one of the two symbols has been merged meanwhile (a merged right one becomes kNone).
      if (right == kNone || symbols[left] != top.left || symbols[right] != top.right) continue;
      symbols[left] = top.id;
      symbols[right] = kNone;
      next[left] = next[right];
      if (next[left] != kNone) {
        previous[next[left]] = left;
        offer(left, next[left]);
      }
      if (previous[left] != kNone) offer(previous[left], left);
    }
    std::erase(symbols, kNone);
  }

  Vocabulary vocabulary_;
  MergeTable merges_;
  BpeOptions options_;
  bool plain_ = true;
  std::vector<uint32_t> letters_;  // ids of the characters below U+0180
};

struct MergeParts {
  std::string_view left, right;
};

// "a b" or ["a", "b"]; nothing for a version line.
std::optional<MergeParts> read_merge(const base::JsonNode& list, size_t index) {
  const auto& entry = list.json()[index];
  if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
    return MergeParts{entry[0].get_ref<const std::string&>(),
                      entry[1].get_ref<const std::string&>()};
  }
  if (!entry.is_string()) list.at(index).wrong_type("\"a b\" or [\"a\", \"b\"]");
  const std::string_view text = entry.get_ref<const std::string&>();
  if (text.substr(0, 8) == "#version") return std::nullopt;
  const size_t space = text.find(' ');
  if (space == text.npos || text.find(' ', space + 1) != text.npos) {
    list.at(index).wrong_type("two tokens with exactly one space between them");
  }
  return MergeParts{text.substr(0, space), text.substr(space + 1)};
}

MergeTable read_merges(const base::JsonNode& list, const Vocabulary& vocabulary, size_t prefix) {
  MergeTable table(list.size());
  uint32_t rank = 0;
  std::string whole;
  const auto require = [&](std::string_view token, size_t index) {
    const auto it = vocabulary.find(token);
    if (it != vocabulary.end()) return it->second;
    list.at(index).fail(base::str("token \"", token, "\" of this merge is not in the vocabulary"));
  };
  for (size_t i = 0; i < list.size(); ++i) {
    const auto parts = read_merge(list, i);
    if (!parts) continue;
    const uint32_t left = require(parts->left, i);
    const uint32_t right = require(parts->right, i);
    if (parts->right.size() < prefix)
      list.at(i).fail("right part is shorter than the subword prefix");
    whole = parts->left;
    whole += parts->right.substr(prefix);
    table.set(left, right, {rank++, require(whole, i)});
  }
  return table;
}

}  // namespace

std::unique_ptr<const Model> make_bpe_by_rank(Vocabulary vocabulary,
                                              const std::vector<uint32_t>& ranks,
                                              BpeOptions options) {
  struct Split {
    uint32_t left, right;
    Merge merge;
  };
  std::vector<Split> splits;
  for (const auto& [token, id] : vocabulary) {
    if (ranks[id] == kNone) continue;
    const std::string_view whole = token;
    for (size_t at = 1; at < whole.size(); ++at) {
      const auto left = vocabulary.find(whole.substr(0, at));
      const auto right = vocabulary.find(whole.substr(at));
      if (left == vocabulary.end() || right == vocabulary.end()) continue;
      splits.push_back({left->second, right->second, {ranks[id], id}});
    }
  }
  MergeTable merges(splits.size());
  for (const auto& split : splits) merges.set(split.left, split.right, split.merge);
  return std::make_unique<Bpe>(std::move(vocabulary), std::move(merges), std::move(options));
}

std::unique_ptr<const Model> make_bpe(const base::JsonNode& node) {
  if (const auto dropout = node.find("dropout"); dropout && dropout->number() != 0) {
    dropout->fail("random merges (dropout) are for training; expected null");
  }
  Vocabulary vocabulary = read_vocabulary(node.at("vocab"));
  BpeOptions options;
  options.prefix = node.string_or("continuing_subword_prefix", "");
  options.suffix = node.string_or("end_of_word_suffix", "");
  options.fuse_unk = node.boolean_or("fuse_unk", false);
  options.byte_fallback = node.boolean_or("byte_fallback", false);
  options.ignore_merges = node.boolean_or("ignore_merges", false);
  if (const auto unk = node.find("unk_token")) {
    const auto it = vocabulary.find(unk->string());
    if (it == vocabulary.end()) unk->fail("\"" + unk->string() + "\" is not in the vocabulary");
    options.unk = it->second;
  }
  MergeTable merges = read_merges(node.at("merges"), vocabulary, options.prefix.size());
  return std::make_unique<Bpe>(std::move(vocabulary), std::move(merges), std::move(options));
}

}  // namespace preimage::text
