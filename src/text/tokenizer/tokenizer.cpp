#include "preimage/text/tokenizer/tokenizer.hpp"

#include <algorithm>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "tokenizer/tokenizer_parts.hpp"

namespace preimage::text {

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

namespace {

// One pass of a text through the stages.
class Encoder {
 public:
  // `places`: also where the tokens stand; null: not asked for.
  Encoder(const Tokenizer::Parts& parts, const EncodeOptions& options,
          std::vector<TokenPlace>* places)
      : parts_(parts),
        parse_special_(options.parse_special && !parts.split_special),
        lower_case_(options.lower_case && !parts.lowers),
        places_(places) {
    tracked_ = places != nullptr || parts.needs_origin;
  }

  std::vector<int64_t> operator()(std::string_view text) {
    for (const auto& raw : parts_.raw_tokens->cut(text, parse_special_)) {
      if (raw.id) {
        put(*raw.id, raw.span, text.substr(raw.span.begin, raw.span.end - raw.span.begin));
        continue;
      }
      auto normalized = TrackedText::of(text, raw.span, tracked_);
      if (lower_case_) lowercase(normalized);
      if (parts_.normalizer) parts_.normalizer->apply(normalized);
      for (const auto& section : parts_.normalized_tokens->cut(normalized.text, parse_special_)) {
        if (!section.id) {
          plain(normalized.slice(section.span), raw.span.begin == 0 && section.span.begin == 0);
        } else {
          const auto& [begin, end] = section.span;
          put(*section.id, tracked_ ? normalized.original(section.span) : section.span,
              std::string_view(normalized.text).substr(begin, end - begin));
        }
      }
    }
    return std::move(ids_);
  }

 private:
  // An added token, with the spaces that it takes in.
  void put(int64_t id, const Span& span, std::string_view seen) {
    ids_.push_back(id);
    if (places_ != nullptr) places_->push_back({std::string(seen), span});
  }

  void plain(TrackedText text, bool starts_input) {
    Pieces pieces;
    static_cast<TrackedText&>(pieces) = std::move(text);
    pieces.starts_input = starts_input;
    pieces.spans.assign(1, {0, pieces.text.size()});
    if (parts_.pre_tokenizer) parts_.pre_tokenizer->apply(pieces);
    std::vector<Span> spans;
    size_t next = ids_.size();
    parts_.model->tokenize(pieces, ids_, places_ == nullptr ? nullptr : &spans);
    const bool as_seen = parts_.model->shows_unknown();
    for (const auto& span : spans) {
      const auto& token = *parts_.token(ids_[next++]);
      places_->push_back({as_seen ? std::string(pieces.view(span)) : token, pieces.original(span)});
    }
  }

  const Tokenizer::Parts& parts_;
  bool parse_special_, lower_case_, tracked_ = false;
  std::vector<TokenPlace>* places_;
  std::vector<int64_t> ids_;
};

void require_utf8(std::string_view text) {
  if (const size_t bad = base::first_invalid_utf8(text); bad != text.npos) {
    throw base::data_error(base::str("text to be tokenized: byte ", bad, " of ", text.size(),
                                     " is not UTF-8; only text can be encoded"));
  }
}

}  // namespace

std::vector<int64_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  require_utf8(text);
  auto ids = Encoder(*parts_, options, nullptr)(text);
  if (options.add_special && parts_->post_processor) parts_->post_processor->add_special(ids);
  return ids;
}

Encoding Tokenizer::encode_with_offsets(std::string_view text, const EncodeOptions& options) const {
  require_utf8(text);
  std::vector<TokenPlace> places;
  Encoding out;
  out.ids = Encoder(*parts_, options, &places)(text);
  if (parts_->post_processor) parts_->post_processor->trim(text, places);
  for (const auto& place : places) out.offsets.emplace_back(place.span.begin, place.span.end);
  if (options.add_special && parts_->post_processor) {
    auto whole = out.ids;
    parts_->post_processor->add_special(whole);
    const auto own = std::search(whole.begin(), whole.end(), out.ids.begin(), out.ids.end());
    const auto before = static_cast<size_t>(own - whole.begin());
    out.offsets.insert(out.offsets.begin(), before, {0, 0});
    out.offsets.resize(whole.size());
    out.ids = std::move(whole);
  }
  return out;
}

std::string Tokenizer::decode(const std::vector<int64_t>& ids, const DecodeOptions& options) const {
  return cleaned(decode_raw(ids, options));
}

std::string Tokenizer::decode_raw(const std::vector<int64_t>& ids,
                                  const DecodeOptions& options) const {
  std::vector<std::string> texts;
  texts.reserve(ids.size());
  for (const int64_t id : ids) {
    const auto* token = parts_->token(id);
    if (token == nullptr || (options.skip_special && parts_->skipped_ids.contains(id))) continue;
    texts.push_back(*token);
  }
  if (!parts_->decoder) return base::join(texts, " ");
  parts_->decoder->apply(texts);
  return base::join(texts, "");
}

std::string Tokenizer::cleaned(std::string text) const {
  if (!parts_->clean_up) return text;
  static constexpr std::pair<std::string_view, std::string_view> kCleanups[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  for (const auto& [from, to] : kCleanups) {
    for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
      text.replace(at, from.size(), to);
  }
  return text;
}

int64_t Tokenizer::vocab_size() const {
  return parts_->token_count;
}

int64_t Tokenizer::id_limit() const {
  return static_cast<int64_t>(parts_->tokens.size());
}

int64_t Tokenizer::plain_id_limit() const {
  int64_t limit = id_limit();
  while (limit > 0 && (parts_->token(limit - 1) == nullptr || is_special(limit - 1))) --limit;
  return limit;
}

std::optional<int64_t> Tokenizer::token_to_id(std::string_view token) const {
  return parts_->id_of(token);
}

std::optional<std::string> Tokenizer::id_to_token(int64_t id) const {
  const auto* token = parts_->token(id);
  return token ? std::optional(*token) : std::nullopt;
}

bool Tokenizer::is_special(int64_t id) const {
  return parts_->special_ids.contains(id);
}
const SpecialTokens& Tokenizer::special() const {
  return parts_->special;
}
const std::string& Tokenizer::sha256() const {
  return parts_->sha256;
}
bool Tokenizer::truncates_left() const {
  return parts_->truncates_left;
}
std::optional<int64_t> Tokenizer::max_length() const {
  return parts_->max_length;
}
const std::vector<std::string>& Tokenizer::warnings() const {
  return parts_->warnings;
}

std::string StreamDecoder::push(int64_t id) {
  ids_.push_back(id);
  const auto head =
      std::vector<int64_t>(ids_.begin(), ids_.begin() + static_cast<ptrdiff_t>(kept_));
  const std::string known = tokenizer_.decode_raw(head, options_);
  const std::string now = tokenizer_.decode_raw(ids_, options_);
  // U+FFFD at the end may be a character whose last bytes are still to come.
  if (now.size() <= known.size() || now.ends_with("\xEF\xBF\xBD")) return "";
  // The last ids stay as context: some decoders treat the first token of a sequence differently.
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<ptrdiff_t>(kept_));
  kept_ = ids_.size();
  return now.substr(known.size());
}

std::string StreamDecoder::finish() {
  const auto head =
      std::vector<int64_t>(ids_.begin(), ids_.begin() + static_cast<ptrdiff_t>(kept_));
  const std::string known = tokenizer_.decode_raw(head, options_);
  std::string rest = tokenizer_.decode_raw(ids_, options_);
  rest.erase(0, known.size());
  ids_.clear();
  kept_ = 0;
  return rest;
}

}  // namespace preimage::text
