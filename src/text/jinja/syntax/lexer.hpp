// From the text of a template to tokens, as jinja2's lexer with trim_blocks and lstrip_blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jinja/syntax/nodes.hpp"

namespace preimage::text::jinja {

enum class TokenType : uint8_t {
  data,            // text between tags
  variable_begin,  // {{
  variable_end,
  block_begin,  // {%
  block_end,
  name,
  string,
  number,
  op,  // an operator: its text
  end
};

struct Token {
  TokenType type;
  int line;
  std::string text;  // of a string: its value
  Value number;
  bool is(TokenType wanted, std::string_view value) const {
    return type == wanted && text == value;
  }
};

// The last token is `end`. `source` is UTF-8. Throws SyntaxError.
std::vector<Token> tokenize(std::string_view source);

}  // namespace preimage::text::jinja
