// Code in a model's answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace preimage::text {

struct CodeBlock {
  std::string label;   // the word after the opening fence, as written: "python", "py", ""
  std::string code;    // the lines between the fences, each with its line end
  bool closed = true;  // false: the text ended first (a truncated answer)
};

// Fenced blocks as CommonMark defines them (section 4.5): an opening line of at least three
// backticks or tildes behind at most three spaces, a closing line of at least as many of the same;
// the indentation of the opening fence is taken off each line. Prose before, between and after is
// left out.
std::vector<CodeBlock> code_blocks(std::string_view text);

// The program in an answer: the first fenced block, or the whole text where there is none. `opened`
// says that the prompt ended inside a block: then the program ends at the first closing fence.
std::string extract_code(std::string_view answer, bool opened = false);

}  // namespace preimage::text
