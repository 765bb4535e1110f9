// Sudoku CSV files of four published layouts, told apart by their header.
#include <algorithm>
#include <array>
#include <optional>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "readers.hpp"

namespace preimage::data {
namespace {

constexpr size_t kCells = 81;

struct Layout {
  size_t puzzle = 0, solution = 0, columns = 0;
  std::optional<size_t> id, group;
};

// Fields of one line; a field may stand in double quotes, a quote inside is doubled.
std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      out.back() += '"';
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

Layout layout_of(const std::string& header, const std::string& place) {
  const auto names = fields_of(header);
  const auto column = [&](std::initializer_list<const char*> wanted) -> std::optional<size_t> {
    for (const char* name : wanted) {
      const auto it = std::find(names.begin(), names.end(), name);
      if (it != names.end()) return static_cast<size_t>(it - names.begin());
    }
    return std::nullopt;
  };
  const auto puzzle = column({"puzzle", "quizzes", "question"});
  const auto solution = column({"solution", "solutions", "answer"});
  if (!puzzle || !solution) {
    throw base::data_error(
        base::str(place, ": header \"", header.substr(0, 80),
                  "\" names no puzzle and solution; known are quizzes,solutions | "
                  "puzzle,solution | id,puzzle,solution,... | source,question,answer,rating"));
  }
  return {*puzzle, *solution, names.size(), column({"id"}), column({"source"})};
}

std::string puzzle_of(std::string cells, const std::string& place) {
  if (cells.size() != kCells) {
    throw base::data_error(
        base::str(place, ": puzzle has ", cells.size(), " characters, expected 81"));
  }
  for (char& c : cells) {
    if (c == '.' || c == '*' || c == '_') c = '0';
    if (c < '0' || c > '9') {
      throw base::data_error(
          base::str(place, ": puzzle holds '", c, "', allowed are 1-9 and 0 . * _"));
    }
  }
  return cells;
}

// Each digit once in every row, column and box, and the clues kept.
void check_solution(const std::string& solution, const std::string& puzzle,
                    const std::string& place) {
  const auto fail = [&](const auto&... what) {
    throw base::data_error(base::str(place, ": ", what...));
  };
  if (solution.size() != kCells) fail("solution has ", solution.size(), " characters, expected 81");
  std::array<unsigned, 27> seen{};  // rows, columns, boxes
  for (size_t i = 0; i < kCells; ++i) {
    const char c = solution[i];
    const size_t row = i / 9, column = i % 9;
    if (c < '1' || c > '9')
      fail("solution holds '", c, "' at row ", row + 1, ", column ", column + 1);
    if (puzzle[i] != '0' && puzzle[i] != c) {
      fail("clue ", puzzle[i], " at row ", row + 1, ", column ", column + 1, " is ", c,
           " in the solution");
    }
    const unsigned bit = 1u << (c - '0');
    for (const size_t unit : {row, 9 + column, 18 + row / 3 * 3 + column / 3}) {
      if (seen[unit] & bit) {
        fail("solution repeats ", c, " in ",
             unit < 9    ? "row "
             : unit < 18 ? "column "
                         : "box ",
             unit % 9 + 1);
      }
      seen[unit] |= bit;
    }
  }
}

void read_row(const std::string& line, const Layout& layout, const std::string& place,
              Collector& out) {
  const auto fields = fields_of(line);
  if (fields.size() != layout.columns) {
    throw base::data_error(
        base::str(place, ": ", fields.size(), " columns, the header has ", layout.columns));
  }
  QaExample example;
  example.question = puzzle_of(fields[layout.puzzle], place);
  example.answer = fields[layout.solution];
  check_solution(example.answer, example.question, place);
  example.id = layout.id ? fields[*layout.id] : example.question;
  if (layout.group) example.group = fields[*layout.group];
  out.add(std::move(example), place);
}

}  // namespace

Dataset read_sudoku(const DatasetOptions& options) {
  LineReader lines(options.path);
  Collector out;
  std::string line;
  if (!lines.next(line)) return out.finish(options.path);
  const Layout layout = layout_of(line, lines.place());
  while (lines.next(line)) {
    try {
      read_row(line, layout, lines.place(), out);
    } catch (const base::Error& error) {
      if (options.on_bad_line == BadLine::error || error.code() != base::ExitCode::bad_data) throw;
      out.count_bad_line();
    }
  }
  return out.finish(options.path);
}

}  // namespace preimage::data
