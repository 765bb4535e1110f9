// Byte pair encoding as tokenizer.json describes it: Sennrich, Haddow, Birch, "Neural machine
// translation of rare words with subword units", ACL 2016; edge cases as in huggingface/tokenizers.
#include <algorithm>
#include <queue>
#include <set>
#include <unordered_map>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "tokenizer/models/bpe.hpp"
#include "tokenizer/models/merge_table.hpp"

namespace preimage::text {
namespace {

constexpr uint32_t kNone = kNoMerge;
// Words up to this many symbols are merged by scanning: quadratic, but faster than a heap.
constexpr size_t kScanLimit = 32;
// Texts shorter than this are not worth a cache; a cache holds at most so many words, none longer.
constexpr size_t kCacheFromBytes = 512;
constexpr size_t kCacheWords = 1 << 16;
constexpr size_t kCacheWordBytes = 64;

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
  bool is_bpe() const override { return true; }

  void tokenize(const Pieces& pieces, std::vector<int64_t>& ids,
                std::vector<Span>* places) const override {
    if (places != nullptr) return tokenize_with_places(pieces, ids, *places);
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
    split_word(word, symbols, nullptr);
    merge(symbols);
    ids.insert(ids.end(), symbols.begin(), symbols.end());
  }

  void merge(std::vector<uint32_t>& symbols) const {
    if (!options_.unused.empty()) {
      Parts parts;
      merge_by_heap(symbols, &parts);
      std::vector<uint32_t> out;
      for (const uint32_t id : symbols) take_apart(id, parts, out);
      symbols = std::move(out);
    } else if (symbols.size() <= kScanLimit) {
      merge_by_scan(symbols);
    } else {
      merge_by_heap(symbols, nullptr);
    }
  }

  // What an unused token was put together from, the last time that it was thought of.
  using Parts = std::unordered_map<uint32_t, std::pair<uint32_t, uint32_t>>;

  // Unused tokens are steps on the way to others, and no result: one that nothing made is unknown.
  void take_apart(uint32_t id, const Parts& parts, std::vector<uint32_t>& out) const {
    if (!options_.unused[id]) {
      out.push_back(id);
    } else if (const auto it = parts.find(id); it != parts.end()) {
      take_apart(it->second.first, parts, out);
      take_apart(it->second.second, parts, out);
    } else if (!(options_.byte_fallback && push_bytes(options_.texts[id], out)) && options_.unk) {
      if (out.empty() || out.back() != *options_.unk) out.push_back(*options_.unk);
    }
  }

  // A merge joins neighbours, and its token is written as they are: so a token stands for the first
  // symbols whose letters make up its own.
  void tokenize_with_places(const Pieces& pieces, std::vector<int64_t>& ids,
                            std::vector<Span>& places) const {
    std::vector<size_t> letters(vocabulary_.size(), 0);
    for (const auto& [token, id] : vocabulary_) {
      if (id >= letters.size()) letters.resize(id + 1, 0);
      letters[id] = token.size();
    }
    std::vector<uint32_t> symbols;
    std::vector<size_t> ends;
    for (const auto& span : pieces.spans) {
      const auto word = pieces.view(span);
      const auto whole = options_.ignore_merges ? vocabulary_.find(word) : vocabulary_.end();
      if (whole != vocabulary_.end()) {
        ids.push_back(whole->second);
        places.push_back(span);
        continue;
      }
      split_word(word, symbols, &ends);
      const auto first = symbols;
      merge(symbols);
      size_t next = 0, begin = 0;
      for (const uint32_t id : symbols) {
        size_t left = letters[id] - (next > 0 ? affix(id) : 0);
        do {
          left -= std::min(left, letters[first[next]] - (next > 0 ? affix(first[next]) : 0));
          ++next;
        } while (left > 0 && next < first.size());
        const size_t end = ends[next - 1];
        ids.push_back(id);
        places.push_back({span.begin + begin, span.begin + end});
        begin = end;
      }
    }
  }

  // Letters that a token inside of a word has more than the text.
  size_t affix(uint32_t id) const { return id == options_.unk ? 0 : options_.prefix.size(); }

  uint32_t id_of(std::string_view text) const {
    const auto it = vocabulary_.find(text);
    return it == vocabulary_.end() ? kNone : it->second;
  }

  // `ends`: also where in the word each symbol ends. As in the library a letter that is dropped
  // takes no place, so that what follows it stands too early.
  void split_word(std::string_view word, std::vector<uint32_t>& symbols,
                  std::vector<size_t>* ends) const {
    symbols.clear();
    if (ends != nullptr) ends->clear();
    size_t end = 0;
    const auto push = [&](uint32_t id, size_t length) {
      symbols.push_back(id);
      if (ends != nullptr) ends->push_back(end += length);
    };
    size_t unknown = 0;  // bytes of an unknown token that may still be joined by its neighbour
    const auto flush = [&] {
      if (unknown > 0) push(*options_.unk, unknown);
      unknown = 0;
    };
    for (size_t at = 0; at < word.size();) {
      const auto lead = static_cast<uint8_t>(word[at]);
      const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
      if (const auto frozen = frozen_at(word, at)) {
        flush();
        push(frozen->id, frozen->length);
        at += frozen->length;
        continue;
      }
      const auto character = word.substr(at, length);
      const uint32_t id =
          plain_ ? id_of_plain(character) : id_of_affixed(character, at, word.size());
      at += length;
      if (id != kNone) {
        flush();
        push(id, length);
      } else if (options_.byte_fallback && push_bytes(character, symbols)) {
        for (size_t i = 0; ends != nullptr && i < length; ++i) ends->push_back(++end);
      } else {
        if (!options_.missing_unk.empty()) fail_unknown(character);
        if (!options_.unk) continue;
        if (!options_.fuse_unk) flush();
        unknown += length;
      }
    }
    flush();
  }

  struct Frozen {
    uint32_t id;
    size_t length;
  };
  // The longest whole symbol that the rest of the word begins with.
  std::optional<Frozen> frozen_at(std::string_view word, size_t at) const {
    std::optional<Frozen> out;
    if (!options_.frozen) return out;
    options_.frozen->prefixes(word.substr(at), [&](size_t length, uint32_t id) {
      out = Frozen{id, length};
    });
    return out;
  }

  [[noreturn]] void fail_unknown(std::string_view character) const {
    throw base::data_error(base::str("no token for \"", character, "\", and the unk_token \"",
                                     options_.missing_unk,
                                     "\" of the tokenizer is not in its vocabulary"));
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
    std::vector<uint32_t> found(character.size());
    for (size_t i = 0; i < character.size(); ++i) {
      const auto byte = static_cast<uint8_t>(character[i]);
      const char name[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
      found[i] = id_of({name, sizeof name});
      if (found[i] == kNone) return false;
    }
    symbols.insert(symbols.end(), found.begin(), found.end());
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
  void merge_by_heap(std::vector<uint32_t>& symbols, Parts* parts) const {
    struct PossibleMerge {
      uint32_t rank, position, id, left, right;
      bool operator>(const PossibleMerge& other) const {
        return rank != other.rank ? rank > other.rank : position > other.position;
      }
    };
    const auto count = static_cast<uint32_t>(symbols.size());
    std::vector<uint32_t> next(count), previous(count);
    std::priority_queue<PossibleMerge, std::vector<PossibleMerge>, std::greater<>> heap;
    const auto offer = [&](uint32_t left, uint32_t right) {
      const auto merge = merges_.get(symbols[left], symbols[right]);
      if (merge.rank == kNone) return;
      heap.push({merge.rank, left, merge.id, symbols[left], symbols[right]});
      if (parts != nullptr && options_.unused[merge.id])
        parts->insert_or_assign(merge.id, std::pair(symbols[left], symbols[right]));
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
      if (next[left] != kNone) previous[next[left]] = left;
      if (previous[left] != kNone) offer(previous[left], left);
      if (next[left] != kNone) offer(left, next[left]);
    }
    std::erase(symbols, kNone);
  }

  Vocabulary vocabulary_;
  MergeTable merges_;
  BpeOptions options_;
  bool plain_ = true;
  std::vector<uint32_t> letters_;  // ids of the characters below U+0180
};

}  // namespace

std::unique_ptr<const Model> make_bpe_by_rank(Vocabulary vocabulary,
                                              const std::vector<uint32_t>& ranks,
                                              BpeOptions options) {
  struct Split {
    uint32_t left, right;
    Merge merge;
  };
  std::set<uint32_t> frozen;
  if (options.frozen) {
    for (const auto& [token, id] : vocabulary) {
      options.frozen->prefixes(token, [&, &token = token, id = id](size_t length, uint32_t) {
        if (length == token.size()) frozen.insert(id);
      });
    }
  }
  const auto is_frozen = [&](uint32_t id) { return frozen.contains(id); };
  std::vector<Split> splits;
  for (const auto& [token, id] : vocabulary) {
    if (ranks[id] == kNone) continue;
    const std::string_view whole = token;
    for (size_t at = 1; at < whole.size(); ++at) {
      const auto left = vocabulary.find(whole.substr(0, at));
      const auto right = vocabulary.find(whole.substr(at));
      if (left == vocabulary.end() || right == vocabulary.end()) continue;
      if (is_frozen(left->second) || is_frozen(right->second)) continue;
      splits.push_back({left->second, right->second, {ranks[id], id}});
    }
  }
  MergeTable merges(splits.size());
  for (const auto& split : splits) merges.set(split.left, split.right, split.merge);
  return std::make_unique<Bpe>(std::move(vocabulary), std::move(merges), std::move(options));
}

std::unique_ptr<const Model> make_bpe(const base::JsonNode& node, JsonTables* tables) {
  if (const auto dropout = node.find("dropout"); dropout && dropout->number() != 0) {
    dropout->fail("random merges (dropout) are for training; expected null");
  }
  Vocabulary vocabulary = take_vocabulary(node, tables);
  BpeOptions options;
  options.prefix = node.string_or("continuing_subword_prefix", "");
  options.suffix = node.string_or("end_of_word_suffix", "");
  options.fuse_unk = node.boolean_or("fuse_unk", false);
  options.byte_fallback = node.boolean_or("byte_fallback", false);
  options.ignore_merges = node.boolean_or("ignore_merges", false);
  if (const auto unk = node.find("unk_token")) {
    const auto it = vocabulary.find(unk->string());
    if (it != vocabulary.end()) {
      options.unk = it->second;
    } else {
      options.missing_unk = unk->string();
    }
  }
  const auto list = node.at("merges");
  MergeTable merges = tables == nullptr
                          ? read_merges(list, vocabulary, options.prefix.size())
                          : take_merges(*tables, list, vocabulary, options.prefix.size());
  return std::make_unique<Bpe>(std::move(vocabulary), std::move(merges), std::move(options));
}

}  // namespace preimage::text
