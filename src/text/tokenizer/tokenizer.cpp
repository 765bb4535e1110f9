#include "preimage/text/tokenizer/tokenizer.hpp"

#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "tokenizer/tokenizer_parts.hpp"

namespace preimage::text {

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<int64_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (const size_t bad = base::first_invalid_utf8(text); bad != text.npos) {
    throw base::data_error(base::str("text to be tokenized: byte ", bad, " of ", text.size(),
                                     " is not UTF-8; only text can be encoded"));
  }
  std::vector<int64_t> ids;
  Pieces pieces;
  const auto encode_plain = [&](std::string_view plain, bool starts_input) {
    pieces.starts_input = starts_input;
    pieces.text.assign(plain);
    pieces.spans.assign(1, {0, plain.size()});
    if (parts_->pre_tokenizer) parts_->pre_tokenizer->apply(pieces);
    parts_->model->tokenize(pieces, ids);
  };
  for (const auto& raw : parts_->raw_tokens->cut(text, options.parse_special)) {
    if (raw.id) {
      ids.push_back(*raw.id);
      continue;
    }
    std::string normalized(text.substr(raw.span.begin, raw.span.end - raw.span.begin));
    if (parts_->normalizer) parts_->normalizer->apply(normalized);
    for (const auto& section : parts_->normalized_tokens->cut(normalized, options.parse_special)) {
      if (section.id) {
        ids.push_back(*section.id);
      } else {
        const auto& span = section.span;
        encode_plain(std::string_view(normalized).substr(span.begin, span.end - span.begin),
                     raw.span.begin == 0 && span.begin == 0);
      }
    }
  }
  if (options.add_special && parts_->post_processor) parts_->post_processor->add_special(ids);
  return ids;
}

std::string Tokenizer::decode(const std::vector<int64_t>& ids, const DecodeOptions& options) const {
  std::vector<std::string> texts;
  texts.reserve(ids.size());
  for (const int64_t id : ids) {
    const auto* token = parts_->token(id);
    if (token == nullptr || (options.skip_special && parts_->special_ids.contains(id))) continue;
    texts.push_back(*token);
  }
  if (!parts_->decoder) return base::join(texts, " ");
  parts_->decoder->apply(texts);
  return base::join(texts, "");
}

int64_t Tokenizer::vocab_size() const {
  return parts_->token_count;
}

int64_t Tokenizer::id_limit() const {
  return static_cast<int64_t>(parts_->tokens.size());
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

std::string StreamDecoder::push(int64_t id) {
  ids_.push_back(id);
  const auto head =
      std::vector<int64_t>(ids_.begin(), ids_.begin() + static_cast<ptrdiff_t>(kept_));
  const std::string known = tokenizer_.decode(head, options_);
  const std::string now = tokenizer_.decode(ids_, options_);
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
  const std::string known = tokenizer_.decode(head, options_);
  std::string rest = tokenizer_.decode(ids_, options_);
  rest.erase(0, known.size());
  ids_.clear();
  kept_ = 0;
  return rest;
}

}  // namespace preimage::text
