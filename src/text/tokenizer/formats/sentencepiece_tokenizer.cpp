// A SentencePiece model as the stages of a tokenizer, with the ids and texts of the sentencepiece
// library.
#include <algorithm>
#include <limits>
#include <map>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "tokenizer/charsmap.hpp"
#include "tokenizer/formats/sentencepiece.hpp"
#include "tokenizer/formats/tokenizer_sources.hpp"
#include "tokenizer/models/bpe.hpp"
#include "tokenizer/models/byte_trie.hpp"
#include "tokenizer/models/unigram.hpp"

namespace preimage::text {
namespace {

using Type = SentencePiece::Type;

constexpr const char* kSpace = "\xE2\x96\x81";  // U+2581

// normalizer.cc of SentencePiece: the longest entry of the map at each place, white space escaped,
// user-defined pieces left alone.
class SentencePieceNormalizer : public Normalizer {
 public:
  SentencePieceNormalizer(const SentencePieceModel& model, const std::string& place)
      : dummy_prefix_(model.add_dummy_prefix),
        squeeze_(model.remove_extra_whitespaces),
        suffix_(model.whitespace_as_suffix),
        space_(model.escape_whitespaces ? kSpace : " ") {
    if (!model.charsmap.empty()) map_.emplace(model.charsmap, place);
    for (const auto& piece : model.pieces) {
      if (piece.type == Type::user_defined) kept_.insert(piece.text, 0);
    }
  }

  void apply(std::string& text) const override {
    std::string_view rest = text;
    while (squeeze_ && !rest.empty()) {
      const auto [normal, length] = prefix(rest);
      if (normal != " ") break;
      rest.remove_prefix(length);
    }
    std::string out;
    if (!rest.empty()) normalize(rest, out);
    text = std::move(out);
  }

 private:
  void normalize(std::string_view rest, std::string& out) const {
    if (dummy_prefix_ && !suffix_) out += space_;
    bool after_space = squeeze_;
    while (!rest.empty()) {
      auto [normal, length] = prefix(rest);
      while (after_space && normal.starts_with(' ')) normal.remove_prefix(1);
      for (const char c : normal) {
        if (c == ' ') {
          out += space_;
        } else {
          out += c;
        }
      }
      if (!normal.empty()) after_space = squeeze_ && normal.ends_with(' ');
      rest.remove_prefix(length);
    }
    while (squeeze_ && out.ends_with(space_)) out.resize(out.size() - space_.size());
    if (dummy_prefix_ && suffix_) out += space_;
  }

  // What the beginning of `text` becomes, and its length there.
  std::pair<std::string_view, size_t> prefix(std::string_view text) const {
    size_t kept = 0;
    kept_.prefixes(text, [&](size_t length, uint32_t) { kept = length; });
    if (kept > 0) return {text.substr(0, kept), kept};
    if (const auto match = map_ ? map_->longest(text) : std::nullopt) {
      return {match->replacement, match->length};
    }
    size_t width = 1;
    while (width < text.size() && (static_cast<uint8_t>(text[width]) & 0xC0) == 0x80) ++width;
    return {text.substr(0, width), width};
  }

  std::optional<Charsmap> map_;
  ByteTrie kept_;
  bool dummy_prefix_, squeeze_, suffix_;
  std::string space_;
};

// sentencepiece_processor.cc: the space symbol at the beginning of the text is dropped; runs of
// byte pieces become text, each byte that belongs to no character U+FFFD.
class SentencePieceDecoder : public Decoder {
 public:
  SentencePieceDecoder(bool drop, bool drop_all) : drop_(drop), drop_all_(drop_all) {}
  void apply(std::vector<std::string>& texts) const override {
    bool beginning = drop_;
    std::string out, run;
    for (const auto& text : texts) {
      if (const int byte = byte_piece(text); byte >= 0) {
        run += static_cast<char>(byte);
        continue;
      }
      flush(run, out);
      std::string_view piece = text;
      beginning = beginning && out.empty();
      if (beginning && piece.starts_with(kSpace)) {
        piece.remove_prefix(std::string_view(kSpace).size());
        beginning = drop_all_;
      }
      out += with_spaces(piece);
    }
    flush(run, out);
    texts = {std::move(out)};
  }

 private:
  static std::string with_spaces(std::string_view piece) {
    std::string out;
    while (!piece.empty()) {
      const size_t at = std::min(piece.find(kSpace), piece.size());
      out += piece.substr(0, at);
      piece.remove_prefix(at);
      if (piece.empty()) break;
      out += ' ';
      piece.remove_prefix(std::string_view(kSpace).size());
    }
    return out;
  }

  static void flush(std::string& run, std::string& out) {
    for (std::string_view rest = run; !rest.empty();) {
      const size_t good = std::min(base::first_invalid_utf8(rest), rest.size());
      out += rest.substr(0, good);
      rest.remove_prefix(good);
      if (rest.empty()) break;
      out += "\xEF\xBF\xBD";
      rest.remove_prefix(1);
    }
    run.clear();
  }

  bool drop_, drop_all_;
};

std::optional<uint32_t> unknown_piece(const SentencePieceModel& model) {
  for (uint32_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type == Type::unknown) return id;
  }
  return std::nullopt;
}

std::unique_ptr<const Model> unigram_model(const SentencePieceModel& model,
                                           const std::string& place) {
  float best = -std::numeric_limits<float>::infinity();
  for (const auto& piece : model.pieces) {
    if (piece.type == Type::normal) best = std::max(best, piece.score);
  }
  std::vector<UnigramPiece> pieces;
  for (const auto& piece : model.pieces) {
    UnigramPiece out{piece.text, piece.score, false, piece.type == Type::normal};
    if (piece.type == Type::user_defined) {
      // Better than any other way to write the same bytes.
      out.score = static_cast<double>(static_cast<float>(piece.text.size()) * best) - 0.1;
    }
    out.usable = piece.type == Type::normal || piece.type == Type::user_defined;
    pieces.push_back(std::move(out));
  }
  return make_unigram(
      std::move(pieces),
      {.unk = unknown_piece(model), .byte_fallback = model.byte_fallback, .single_precision = true},
      place);
}

std::unique_ptr<const Model> bpe_model(const SentencePieceModel& model) {
  // Equal scores: the leftmost merge first, so they share a rank.
  std::map<float, uint32_t, std::greater<>> places;
  for (const auto& piece : model.pieces) places.emplace(piece.score, 0);
  uint32_t place = 0;
  for (auto& [score, rank] : places) rank = place++;
  Vocabulary vocabulary;
  std::vector<uint32_t> ranks;
  for (const auto& piece : model.pieces) {
    vocabulary.insert_or_assign(piece.text, static_cast<uint32_t>(ranks.size()));
    ranks.push_back(piece.type == Type::normal ? places[piece.score] : UINT32_MAX);
  }
  BpeOptions options;
  options.unk = unknown_piece(model);
  options.fuse_unk = true;
  options.byte_fallback = model.byte_fallback;
  return make_bpe_by_rank(std::move(vocabulary), ranks, std::move(options));
}

}  // namespace

std::unique_ptr<Tokenizer::Parts> sentencepiece_parts(std::string_view bytes,
                                                      const std::string& place) {
  const auto model = read_sentencepiece(bytes, place);
  auto parts = std::make_unique<Tokenizer::Parts>();
  parts->normalizer = std::make_unique<SentencePieceNormalizer>(model, place);
  parts->model =
      model.kind == SentencePieceModel::Kind::bpe ? bpe_model(model) : unigram_model(model, place);
  const bool drop = model.add_dummy_prefix || model.remove_extra_whitespaces;
  parts->decoder = std::make_unique<SentencePieceDecoder>(drop, model.remove_extra_whitespaces);
  for (uint32_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type == Type::control) parts->decoded_forms.emplace_back(id, "");
  }
  if (const auto unk = unknown_piece(model)) {
    parts->special.unk = *unk;
    parts->decoded_forms.emplace_back(*unk, " \xE2\x81\x87 ");  // as sentencepiece prints it
  }
  return parts;
}

}  // namespace preimage::text
