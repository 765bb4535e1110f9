#include "preimage/text/code_block.hpp"

#include <algorithm>

namespace preimage::text {
namespace {

// The next line with its line end ("\n" or "\r\n"; the last may have none); false at the end.
bool next_line(std::string_view text, size_t& at, std::string_view& line) {
  if (at >= text.size()) return false;
  const size_t end = text.find('\n', at);
  line = text.substr(at, end == std::string_view::npos ? end : end + 1 - at);
  at += line.size();
  return true;
}

std::string_view without_end(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ' ||
                           line.back() == '\t')) {
    line.remove_suffix(1);
  }
  return line;
}

struct Fence {
  char mark = 0;  // 0: the line is none
  size_t length = 0, indent = 0;
  std::string_view info;  // what follows the marks, without surrounding spaces
};

Fence fence_of(std::string_view line) {
  line = without_end(line);
  Fence out;
  while (out.indent < line.size() && line[out.indent] == ' ') ++out.indent;
  if (out.indent > 3 || out.indent == line.size()) return {};
  const char mark = line[out.indent];
  if (mark != '`' && mark != '~') return {};
  size_t end = out.indent;
  while (end < line.size() && line[end] == mark) ++end;
  out.length = end - out.indent;
  if (out.length < 3) return {};
  while (end < line.size() && (line[end] == ' ' || line[end] == '\t')) ++end;
  out.info = line.substr(end);
  // "```code```" is inline code, not a fence.
  if (mark == '`' && out.info.find('`') != std::string_view::npos) return {};
  out.mark = mark;
  return out;
}

bool closes(const Fence& fence, const Fence& opening) {
  return fence.mark == opening.mark && fence.length >= opening.length && fence.info.empty();
}

std::string_view without_indent(std::string_view line, size_t most) {
  size_t spaces = 0;
  while (spaces < most && spaces < line.size() && line[spaces] == ' ') ++spaces;
  return line.substr(spaces);
}

// Reads the lines of a block up to its closing fence, from `at`.
CodeBlock block_at(std::string_view text, size_t& at, const Fence& opening) {
  CodeBlock out;
  out.label = std::string(opening.info.substr(0, opening.info.find_first_of(" \t{")));
  std::string_view line;
  while (next_line(text, at, line)) {
    if (closes(fence_of(line), opening)) return out;
    out.code += without_indent(line, opening.indent);
  }
  out.closed = false;
  return out;
}

}  // namespace

std::vector<CodeBlock> code_blocks(std::string_view text) {
  std::vector<CodeBlock> out;
  std::string_view line;
  for (size_t at = 0; next_line(text, at, line);) {
    const Fence fence = fence_of(line);
    if (fence.mark != 0) out.push_back(block_at(text, at, fence));
  }
  return out;
}

std::string extract_code(std::string_view answer, bool opened) {
  if (opened) {
    size_t at = 0;
    return block_at(answer, at, {'`', 3, 0, {}}).code;
  }
  auto blocks = code_blocks(answer);
  return blocks.empty() ? std::string(answer) : std::move(blocks.front().code);
}

}  // namespace preimage::text
