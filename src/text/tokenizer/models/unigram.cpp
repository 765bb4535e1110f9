#include "tokenizer/models/unigram.hpp"

#include <algorithm>
#include <limits>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "tokenizer/models/byte_trie.hpp"

namespace preimage::text {
namespace {

constexpr double kUnkPenalty = 10;  // below the least probable piece
constexpr uint32_t kNoStart = UINT32_MAX;

size_t character_length(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

template <class Score>
class Unigram : public Model {
 public:
  Unigram(std::vector<UnigramPiece> pieces, UnigramOptions options, std::string place)
      : options_(options), place_(std::move(place)) {
    Score least = std::numeric_limits<Score>::infinity();
    scores_.reserve(pieces.size());
    for (uint32_t id = 0; id < pieces.size(); ++id) {
      const auto& piece = pieces[id];
      scores_.push_back(piece.score);
      vocabulary_.insert_or_assign(piece.text, id);
      usable_.push_back(piece.usable);
      if (piece.usable) trie_.insert(piece.text, id);
      if (piece.ranked) least = std::min(least, static_cast<Score>(piece.score));
    }
    unk_score_ = least - static_cast<Score>(kUnkPenalty);
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  bool shows_unknown() const override { return true; }

  void tokenize(const Pieces& pieces, std::vector<int64_t>& ids,
                std::vector<Span>* places) const override {
    std::vector<Node> nodes;
    for (const auto& span : pieces.spans) {
      for (const auto& stretch : one_word(pieces.view(span), nodes)) {
        const size_t before = ids.size();
        const Span where{span.begin + stretch.begin, span.begin + stretch.end};
        push(pieces.view(where), ids);
        // The byte pieces of an unknown stretch all stand for the whole of it.
        if (places != nullptr) places->insert(places->end(), ids.size() - before, where);
      }
    }
  }

 private:
  // The best segmentation of the text up to one byte.
  struct Node {
    Score score = 0;
    uint32_t id = 0;
    uint32_t start = kNoStart;  // of its last piece
  };
  struct Stretch {
    uint32_t begin, end;
    bool unknown;
  };

  std::vector<Stretch> one_word(std::string_view word, std::vector<Node>& nodes) const {
    if (word.size() >= kNoStart) throw base::data_error(place_ + ": a text of more than 4 GB");
    nodes.assign(word.size() + 1, Node{});
    search(word, nodes);
    std::vector<Stretch> stretches;  // from the last to the first; neighbouring unknowns joined
    for (auto end = static_cast<uint32_t>(word.size()); end > 0; end = nodes[end].start) {
      const Node& node = nodes[end];
      const bool unknown = options_.unk && node.id == *options_.unk;
      if (unknown && !stretches.empty() && stretches.back().unknown) {
        stretches.back().begin = node.start;
      } else {
        stretches.push_back({node.start, end, unknown});
      }
    }
    std::reverse(stretches.begin(), stretches.end());
    return stretches;
  }

  // Viterbi. A later path replaces the best one only when it is strictly better.
  void search(std::string_view word, std::vector<Node>& nodes) const {
    for (size_t start = 0; start < word.size();) {
      const size_t width = std::min(character_length(word[start]), word.size() - start);
      const Score here = nodes[start].score;
      const auto offer = [&](size_t length, Score score, uint32_t id) {
        Node& node = nodes[start + length];
        if (node.start == kNoStart || score > node.score) {
          node = {score, id, static_cast<uint32_t>(start)};
        }
      };
      bool single = false;
      trie_.prefixes(word.substr(start), [&](size_t length, uint32_t id) {
        offer(length, static_cast<Score>(scores_[id] + static_cast<double>(here)), id);
        single = single || length == width;
      });
      if (!single) {
        if (!options_.unk) {
          throw base::data_error(base::str(place_, ": no piece for \"", word.substr(start, width),
                                           "\", and the model has no unknown token"));
        }
        offer(width, unk_score_ + here, *options_.unk);
      }
      start += width;
    }
  }

  void push(std::string_view text, std::vector<int64_t>& ids) const {
    const auto it = vocabulary_.find(text);
    if (it != vocabulary_.end() && usable_[it->second]) {
      ids.push_back(it->second);
    } else if (!options_.byte_fallback || !push_bytes(text, ids)) {
      ids.push_back(*options_.unk);
    }
  }

  bool push_bytes(std::string_view text, std::vector<int64_t>& ids) const {
    const size_t before = ids.size();
    for (const char c : text) {
      static constexpr char kHex[] = "0123456789ABCDEF";
      const auto byte = static_cast<uint8_t>(c);
      const char name[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
      const auto found = vocabulary_.find(std::string_view(name, sizeof name));
      if (found == vocabulary_.end()) {
        ids.resize(before);
        return false;
      }
      ids.push_back(found->second);
    }
    return true;
  }

  UnigramOptions options_;
  std::string place_;
  Vocabulary vocabulary_;
  std::vector<double> scores_;
  std::vector<bool> usable_;
  ByteTrie trie_;
  Score unk_score_ = 0;
};

}  // namespace

std::unique_ptr<const Model> make_unigram(std::vector<UnigramPiece> pieces, UnigramOptions options,
                                          std::string place) {
  if (options.single_precision) {
    return std::make_unique<Unigram<float>>(std::move(pieces), options, std::move(place));
  }
  return std::make_unique<Unigram<double>>(std::move(pieces), options, std::move(place));
}

std::unique_ptr<const Model> make_unigram(const base::JsonNode& node) {
  const auto list = node.at("vocab");
  if (list.size() > static_cast<size_t>(kMaxTokenId)) list.fail("too many pieces");
  std::vector<UnigramPiece> pieces;
  pieces.reserve(list.size());
  for (const auto& entry : list.json()) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      list.at(pieces.size()).wrong_type("[\"piece\", score]");
    }
    pieces.push_back({entry[0].get<std::string>(), entry[1].get<double>(), true, true});
  }
  UnigramOptions options;
  options.byte_fallback = node.boolean_or("byte_fallback", false);
  if (const auto unk = node.find("unk_id")) {
    if (pieces.empty()) list.fail("is empty, but there is an unk_id");
    options.unk = static_cast<uint32_t>(unk->integer(0, static_cast<int64_t>(pieces.size()) - 1));
  }
  return make_unigram(std::move(pieces), options, node.place());
}

}  // namespace preimage::text
