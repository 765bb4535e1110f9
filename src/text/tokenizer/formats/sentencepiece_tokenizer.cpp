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

  using Normalizer::apply;
  void apply(TrackedText& text) const override {
    size_t at = 0;
    while (squeeze_ && at < text.text.size()) {
      const auto [normal, length] = prefix(std::string_view(text.text).substr(at));
      if (normal != " ") break;
      at += length;
    }
    Output out(text);
    if (at < text.text.size()) normalize(at, out);
    out.finish(text);
  }

 private:
  // The new text with its origins.
  class Output {
   public:
    explicit Output(const TrackedText& source) : source_(source) {}
    // `text` instead of the bytes [begin, begin + length) of the source.
    void put(std::string_view text, size_t begin, size_t length) {
      out_.text += text;
      if (!source_.tracked) return;
      const Span from = length > 0 ? source_.original({begin, begin + length})
                                   : Span{source_.start, source_.start};
      out_.origin.resize(out_.text.size(), from);
    }
    std::string_view source() const { return source_.text; }
    bool ends_with(const std::string& text) const { return out_.text.ends_with(text); }
    void drop(size_t bytes) {
      out_.text.resize(out_.text.size() - bytes);
      if (source_.tracked) out_.origin.resize(out_.text.size());
    }
    void finish(TrackedText& text) {
      text.text = std::move(out_.text);
      text.origin = std::move(out_.origin);
    }

   private:
    const TrackedText& source_;
    TrackedText out_;
  };

  void normalize(size_t at, Output& out) const {
    const std::string_view whole = out.source();
    if (dummy_prefix_ && !suffix_) out.put(space_, at, 0);
    bool after_space = squeeze_;
    while (at < whole.size()) {
      auto [normal, length] = prefix(whole.substr(at));
      while (after_space && normal.starts_with(' ')) normal.remove_prefix(1);
      for (size_t i = 0; i < normal.size(); ++i) {
        out.put(normal[i] == ' ' ? std::string_view(space_) : normal.substr(i, 1), at, length);
      }
      if (!normal.empty()) after_space = squeeze_ && normal.ends_with(' ');
      at += length;
    }
    while (squeeze_ && out.ends_with(space_)) out.drop(space_.size());
    if (dummy_prefix_ && suffix_) out.put(space_, at, 0);
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
      // Hardly worse than the best piece for each of its characters: better than nearly any other
      // way to write them.
      const auto length = static_cast<float>(base::decode_utf8(piece.text).size());
      out.score = static_cast<double>(length * best) - 0.1;
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
  BpeOptions options;
  const auto frozen = std::make_shared<ByteTrie>();
  bool any_frozen = false, any_unused = false;
  for (const auto& piece : model.pieces) {
    const auto id = static_cast<uint32_t>(ranks.size());
    const bool made = piece.type == Type::normal || piece.type == Type::unused;
    vocabulary.insert_or_assign(piece.text, id);
    ranks.push_back(made ? places[piece.score] : UINT32_MAX);
    options.unused.push_back(piece.type == Type::unused);
    options.texts.push_back(piece.text);
    any_unused = any_unused || piece.type == Type::unused;
    if (piece.type != Type::user_defined) continue;
    frozen->insert(piece.text, id);
    any_frozen = true;
  }
  if (any_frozen) options.frozen = frozen;
  if (!any_unused) options.unused.clear(), options.texts.clear();
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
