// What flows from stage to stage of a tokenizer: one text and the pieces it is cut into.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace preimage::text {

struct Span {
  size_t begin, end;  // bytes, half open
  bool operator==(const Span&) const = default;
};

// Pieces never merge again; empty ones are dropped. Stages that rewrite the text (the byte
// alphabet) replace it and move the spans.
struct Pieces {
  std::string text;
  std::vector<Span> spans;
  bool starts_input = true;  // `text` begins where the whole input begins
  std::string_view view(const Span& span) const {
    return std::string_view(text).substr(span.begin, span.end - span.begin);
  }
};

}  // namespace preimage::text
