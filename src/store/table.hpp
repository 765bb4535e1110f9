// Compound tables: rows of cells to and from HDF5.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "h5.hpp"
#include "preimage/store/schema.hpp"

namespace preimage::store {

// Throws ExitCode::bug unless `row` has one cell of the right type for each column.
void check_row(const Row& row, const TableSchema& schema);

// Writes one table: rows are appended in order. Small tables are contiguous, large ones chunked and
// compressed. Memory: up to 16,384 rows.
class TableWriter {
 public:
  TableWriter(hid_t file, std::string path, TableSchema schema, bool may_compress);
  void append(Row row);
  void finish();  // call once; creates the dataset (empty if there was no row)

 private:
  void create();
  void flush();
  hid_t file_;
  std::string path_;
  TableSchema schema_;
  bool may_compress_;
  std::vector<Row> rows_;
  hsize_t written_ = 0;
  bool growing_ = false;  // created in chunks, to be extended
  h5::Handle type_, dataset_;
};

// Reads a table of ours, or a foreign one whose columns are integers, floats, bools and texts.
// Text is unescaped where the dataset says that it was escaped.
class TableReader {
 public:
  // Throws ExitCode::bad_data when the dataset is not such a table.
  TableReader(hid_t file, const std::string& path);
  const TableSchema& schema() const { return schema_; }
  int64_t size() const { return size_; }
  std::vector<Row> read(int64_t first, int64_t count) const;

 private:
  void add_column(unsigned member, hid_t row_type);
  h5::Handle dataset_, memory_type_;
  TableSchema schema_;
  std::vector<size_t> offsets_;
  std::vector<size_t> text_sizes_;  // of fixed-length text; 0: variable
  std::vector<h5::Handle> member_types_;
  size_t row_bytes_ = 0;
  int64_t size_ = 0;
  bool escaped_ = false;
};

const char* type_name(Type type);
Type type_from_name(const std::string& name);

}  // namespace preimage::store
