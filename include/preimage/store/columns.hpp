// One list of columns for a table's schema and for its rows: a row type names each member once,
// with unit and description, so that neither a column nor its value can be forgotten or swapped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/store/schema.hpp"

namespace preimage::store {

struct ColumnText {
  const char* unit = "";
  const char* description = "";
  bool measured = false;  // outside every promise of equality
};

// Passed to `void columns(Columns&) const` of a row type; collects either schema or cells.
class Columns {
 public:
  static Columns for_schema() { return Columns(true); }
  static Columns for_cells() { return Columns(false); }

  void add(const char* name, int64_t value, const ColumnText& text) {
    put(name, Type::i64, value, text);
  }
  void add(const char* name, double value, const ColumnText& text) {
    put(name, Type::f64, value, text);
  }
  void add(const char* name, float value, const ColumnText& text) {
    put(name, Type::f32, static_cast<double>(value), text);
  }
  void add(const char* name, bool value, const ColumnText& text) {
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
  explicit Columns(bool wants_schema) : wants_schema_(wants_schema) {}
  template <class Value>
  void put(const char* name, Type type, const Value& value, const ColumnText& text) {
    if (wants_schema_) {
      schema.push_back({name, type, text.unit, text.description, text.measured});
    } else {
      cells.emplace_back(value);
    }
  }
  bool wants_schema_;
};

template <class RowType>
std::vector<Column> schema_columns() {
  auto columns = Columns::for_schema();
  RowType{}.columns(columns);
  return std::move(columns.schema);
}

template <class RowType>
Row to_row(const RowType& row) {
  auto columns = Columns::for_cells();
  row.columns(columns);
  return std::move(columns.cells);
}

}  // namespace preimage::store
