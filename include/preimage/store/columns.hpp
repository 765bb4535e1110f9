// One list of columns for a table's schema, for its rows and for reading them back: a row type
// names each member once, with unit and description, so that neither a column nor its value can be
// forgotten or swapped.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "preimage/store/schema.hpp"

namespace preimage::store {

struct ColumnText {
  const char* unit = "";
  const char* description = "";
  bool measured = false;  // outside every promise of equality
};

// Passed to `void columns(Columns&) const` of a row type; collects schema or cells, or fills the
// members from cells.
class Columns {
 public:
  static Columns for_schema() { return Columns(Mode::schema, nullptr); }
  static Columns for_cells() { return Columns(Mode::cells, nullptr); }
  // The row that is passed to columns() must not be a constant: its members are written.
  static Columns reading(const Row& cells) { return Columns(Mode::reading, &cells); }

  void add(const char* name, const int64_t& value, const ColumnText& text) {
    put(name, Type::i64, value, text);
  }
  void add(const char* name, const double& value, const ColumnText& text) {
    put(name, Type::f64, value, text);
  }
  void add(const char* name, const float& value, const ColumnText& text) {
    put(name, Type::f32, value, text);
  }
  void add(const char* name, const bool& value, const ColumnText& text) {
    put(name, Type::boolean, value, text);
  }
  void add(const char* name, const std::string& value, const ColumnText& text) {
    put(name, Type::text, value, text);
  }
  // A text literal would silently be taken as bool.
  void add(const char* name, const char* value, const ColumnText& text) = delete;

  std::vector<Column> schema;
  Row cells;

 private:
  enum class Mode { schema, cells, reading };
  Columns(Mode mode, const Row* source) : mode_(mode), source_(source) {}

  template <class Value>
  void put(const char* name, Type type, const Value& value, const ColumnText& text) {
    using Stored = std::conditional_t<std::is_same_v<Value, float>, double, Value>;
    switch (mode_) {
      case Mode::schema:
        schema.push_back({name, type, text.unit, text.description, text.measured});
        break;
      case Mode::cells:
        cells.emplace_back(static_cast<Stored>(value));
        break;
      case Mode::reading:
        const_cast<Value&>(value) = static_cast<Value>(std::get<Stored>(source_->at(at_++)));
        break;
    }
  }

  Mode mode_;
  const Row* source_;
  size_t at_ = 0;
};

template <class RowType>
std::vector<Column> schema_columns() {
  auto columns = Columns::for_schema();
  RowType{}.columns(columns);
  return std::move(columns.schema);
}

// The inverse of to_row. Throws std::bad_variant_access or std::out_of_range for cells of another
// row type.
template <class RowType>
void from_row(const Row& cells, RowType& row) {
  auto columns = Columns::reading(cells);
  row.columns(columns);
}

template <class RowType>
Row to_row(const RowType& row) {
  auto columns = Columns::for_cells();
  row.columns(columns);
  return std::move(columns.cells);
}

}  // namespace preimage::store
