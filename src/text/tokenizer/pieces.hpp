// What flows from stage to stage of a tokenizer: one text, where it came from, and the pieces it is
// cut into.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace preimage::text {

struct Span {
  size_t begin, end;  // bytes, half open
  bool operator==(const Span&) const = default;
};

// A text that stages rewrite. Where it is tracked, `origin[i]` is the character of the original
// input that byte i came from.
struct TrackedText {
  std::string text;
  bool tracked = false;
  std::vector<Span> origin;
  size_t start = 0;  // where in the input the text began

  // A stretch of the input.
  static TrackedText of(std::string_view input, const Span& span, bool tracked);
  TrackedText slice(const Span& span) const;
  // The bytes of the input that a stretch of this text came from.
  Span original(const Span& span) const {
    return {origin[span.begin].begin, origin[span.end - 1].end};
  }
};

// Writes a text anew, character by character, with the origins that the tokenizers library gives
// (NormalizedString::transform).
class Rewriter {
 public:
  explicit Rewriter(const TrackedText& source) : source_(source) {
    text_.reserve(source.text.size());
  }

  size_t at() const { return at_; }
  bool done() const { return at_ == source_.text.size(); }
  char32_t next() const;                     // the character that comes next
  void keep();                               // it stays
  void keep_to(size_t end);                  // and so do those up to this byte
  void replace(std::string_view character);  // it becomes another one
  void replace(char32_t character);
  void remove();                           // it goes
  void skip_to(size_t end) { at_ = end; }  // and so do those up to this byte
  void insert(std::string_view text);      // something new, that came from the character before
  void insert(char32_t character);
  // What is new at the very beginning came from no character.
  void finish(TrackedText& out);

 private:
  size_t width() const;
  void append(std::string_view text, const Span& origin);

  const TrackedText& source_;
  size_t at_ = 0;
  std::string text_;
  std::vector<Span> origin_;
};

// Pieces never merge again; empty ones are dropped. Stages that rewrite the text (the byte
// alphabet) replace it and move the spans.
struct Pieces : TrackedText {
  std::vector<Span> spans;
  bool starts_input = true;  // `text` begins where the whole input begins, as it was written
  std::string_view view(const Span& span) const {
    return std::string_view(text).substr(span.begin, span.end - span.begin);
  }
  // Whether a piece begins where the whole input begins.
  bool opens(const Span& span) const {
    if (!tracked) return starts_input && span.begin == 0;
    return span.begin < origin.size() && origin[span.begin].begin == 0;
  }
};

}  // namespace preimage::text
