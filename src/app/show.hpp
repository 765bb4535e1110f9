// Tables for people: aligned columns, long cells cut, wide tables in several blocks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/store/schema.hpp"

namespace preimage::app {

// A cell in full: numbers in their shortest form (f32 as the float it was), text as it is.
std::string cell_text(const store::Cell& cell, store::Type type);

struct ShowOptions {
  size_t width = 120;        // characters of a line
  size_t max_cell = 40;      // a longer text is cut
  size_t blocks = SIZE_MAX;  // of a wide table; the names of the other columns follow
};

// Rows under their column names, each block with the number of the row. Numbers stand right, text
// left.
std::string table_text(const std::vector<store::Column>& columns,
                       const std::vector<store::Row>& rows, const ShowOptions& options);

// Of the terminal, or 120.
size_t terminal_width();

}  // namespace preimage::app
