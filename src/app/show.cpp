#include "show.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "preimage/base/str.hpp"
#include "preimage/base/terminal.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::app {
namespace {

using store::Type;

// On one line, cut to `limit` characters.
std::string cut(const std::string& text, size_t limit) {
  std::string line;
  for (const char c : base::visible_text(text)) {
    if (c == '\n')
      line += "\\n";
    else if (c == '\t')
      line += "\\t";
    else
      line += c;
  }
  const auto characters = base::decode_utf8(line);
  if (characters.size() <= limit) return line;
  std::string out;
  for (size_t i = 0; i + 1 < limit; ++i) base::append_utf8(characters[i], out);
  return out + "…";
}

std::string shown(const store::Cell& cell, Type type, size_t limit) {
  if (const auto* number = std::get_if<double>(&cell)) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", *number);
    return text;
  }
  return cut(cell_text(cell, type), limit);
}

struct Printed {
  std::vector<std::string> cells;  // the name first
  size_t width = 0;
  bool right = true;
};

Printed printed(const std::vector<store::Row>& rows, size_t column, const store::Column& info,
                const ShowOptions& options) {
  Printed out{{cut(info.name, options.max_cell)}, 0, info.type != Type::text};
  for (const auto& row : rows) out.cells.push_back(shown(row[column], info.type, options.max_cell));
  for (const auto& cell : out.cells)
    out.width = std::max(out.width, base::decode_utf8(cell).size());
  return out;
}

Printed row_numbers(size_t rows) {
  Printed out{{""}, 0, true};
  for (size_t i = 0; i < rows; ++i) out.cells.push_back(std::to_string(i));
  out.width = out.cells.back().size();
  return out;
}

std::string block_text(const std::vector<Printed>& block, size_t rows) {
  std::string out;
  for (size_t line = 0; line <= rows; ++line) {
    std::string text;
    for (size_t i = 0; i < block.size(); ++i) {
      const auto& [cells, width, right] = block[i];
      const std::string pad(width - base::decode_utf8(cells[line]).size(), ' ');
      text += (i ? "  " : "") + (right ? pad + cells[line] : cells[line] + pad);
    }
    out += text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string more_columns(const std::vector<store::Column>& columns, size_t first, size_t width) {
  std::string out, line = base::str("and ", columns.size() - first, " more columns:");
  for (size_t i = first; i < columns.size(); ++i) {
    if (line.size() + 1 + columns[i].name.size() > width) {
      out += line + "\n";
      line = " ";
    }
    line += " " + columns[i].name;
  }
  return out + line + "\n";
}

}  // namespace

std::string cell_text(const store::Cell& cell, Type type) {
  if (const auto* number = std::get_if<int64_t>(&cell)) return std::to_string(*number);
  if (const auto* truth = std::get_if<bool>(&cell)) return *truth ? "true" : "false";
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  const double value = std::get<double>(cell);
  return type == Type::f32 ? base::shortest(static_cast<float>(value)) : base::shortest(value);
}

std::string table_text(const std::vector<store::Column>& columns,
                       const std::vector<store::Row>& rows, const ShowOptions& options) {
  std::string out;
  size_t first = 0;
  for (size_t blocks = 0; first < columns.size() && blocks < options.blocks; ++blocks) {
    std::vector<Printed> block = {row_numbers(rows.size())};
    size_t width = block[0].width;
    while (first < columns.size()) {
      auto next = printed(rows, first, columns[first], options);
      if (block.size() > 1 && width + 2 + next.width > options.width) break;
      width += 2 + next.width;
      block.push_back(std::move(next));
      ++first;
    }
    out += (out.empty() ? "" : "\n") + block_text(block, rows.size());
  }
  return first < columns.size() ? out + more_columns(columns, first, options.width) : out;
}

size_t terminal_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) return size.ws_col;
  return 120;
}

}  // namespace preimage::app
