#include "tokenizer/pieces.hpp"

#include "preimage/base/utf8.hpp"
#include "tokenizer/pre_tokenizer.hpp"

namespace preimage::text {

TrackedText TrackedText::of(std::string_view input, const Span& span, bool tracked) {
  TrackedText out;
  out.text = input.substr(span.begin, span.end - span.begin);
  out.tracked = tracked;
  out.start = span.begin;
  if (!tracked) return out;
  out.origin.reserve(out.text.size());
  for (size_t at = 0; at < out.text.size();) {
    char32_t c = 0;
    const size_t width = next_character(out.text, at, c);
    out.origin.insert(out.origin.end(), width, {span.begin + at, span.begin + at + width});
    at += width;
  }
  return out;
}

TrackedText TrackedText::slice(const Span& span) const {
  TrackedText out;
  out.text = text.substr(span.begin, span.end - span.begin);
  out.tracked = tracked;
  if (!tracked) return out;
  out.origin.assign(origin.begin() + static_cast<ptrdiff_t>(span.begin),
                    origin.begin() + static_cast<ptrdiff_t>(span.end));
  out.start = out.origin.empty() ? start : out.origin.front().begin;
  return out;
}

size_t Rewriter::width() const {
  char32_t c = 0;
  return next_character(source_.text, at_, c);
}

char32_t Rewriter::next() const {
  char32_t c = 0;
  next_character(source_.text, at_, c);
  return c;
}

void Rewriter::append(std::string_view text, const Span& origin) {
  text_ += text;
  if (source_.tracked) origin_.insert(origin_.end(), text.size(), origin);
}

void Rewriter::keep() {
  keep_to(at_ + width());
}

void Rewriter::keep_to(size_t end) {
  text_.append(source_.text, at_, end - at_);
  if (source_.tracked) {
    origin_.insert(origin_.end(), source_.origin.begin() + static_cast<ptrdiff_t>(at_),
                   source_.origin.begin() + static_cast<ptrdiff_t>(end));
  }
  at_ = end;
}

void Rewriter::replace(std::string_view character) {
  append(character, source_.tracked ? source_.origin[at_] : Span{});
  at_ += width();
}

void Rewriter::replace(char32_t character) {
  std::string text;
  base::append_utf8(character, text);
  replace(text);
}

void Rewriter::remove() {
  at_ += width();
}

void Rewriter::insert(std::string_view text) {
  Span origin{source_.start, source_.start};
  if (source_.tracked && at_ > 0) origin = source_.origin[at_ - 1];
  append(text, origin);
}

void Rewriter::insert(char32_t character) {
  std::string text;
  base::append_utf8(character, text);
  insert(text);
}

void Rewriter::finish(TrackedText& out) {
  out.text = std::move(text_);
  out.origin = std::move(origin_);
}

}  // namespace preimage::text
