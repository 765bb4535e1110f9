// What a unit of work leaves behind, free of HDF5: rows of named tables, tensors, scalars.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "preimage/base/json.hpp"

namespace preimage::store {

enum class Type { i64, f64, f32, boolean, text };

struct Column {
  std::string name;
  Type type;
  std::string unit = "";
  std::string description = "";
  bool measured = false;  // seconds, memory, host: outside every promise of equality
};

// A compound table. Columns are only ever added, with a higher version.
struct TableSchema {
  std::string name;  // "dcm/pairs"
  std::string description;
  std::vector<Column> columns;
  int64_t version = 1;
  // For later waves of the same run: stays in the segments and does not come into results.h5.
  bool intermediate = false;
};

// A dataset whose first axis counts items; items of one dataset may differ in their other sizes and
// are padded at the end with NaN (integers with -1) when merged.
struct TensorSchema {
  std::string name;  // "dcm/embeddings"
  std::string description;
  std::string unit = "";
  std::vector<std::string> axes;  // names of all axes: {"pair", "slot", "d"}
  Type type = Type::f32;          // f32, f64 or i64
};

// A cell holds the type of its column (f32 and f64 as double). Text is any bytes; it is escaped
// when stored (base::escape_text).
using Cell = std::variant<int64_t, double, bool, std::string>;
using Row = std::vector<Cell>;

struct Tensor {
  std::vector<int64_t> shape;  // without the item axis
  std::variant<std::vector<float>, std::vector<double>, std::vector<int64_t>> values;
};

// Everything that a unit commits.
struct UnitOutput {
  base::Json scalars = base::Json::object();     // what tell() decides on; goes into the journal
  std::map<std::string, std::vector<Row>> rows;  // table name -> rows
  std::map<std::string, std::vector<Tensor>> tensors;  // dataset name -> items
};

// The schemas of one method; names are unique.
struct Schemas {
  std::vector<TableSchema> tables;
  std::vector<TensorSchema> tensors;
};

}  // namespace preimage::store
