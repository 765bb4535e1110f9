#include "table.hpp"

#include <algorithm>
#include <cstring>

#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::store {
namespace {

using base::str;
using h5::Handle;
using h5::must;

constexpr size_t kRowsInHand = 16384;
constexpr size_t kContiguousBytes = 64 << 10;
constexpr const char* kEscape =
    "as in JSON: a backslash is doubled; NUL and lone surrogates are written uXXXX, any other byte "
    "that is not UTF-8 xHH, after one backslash";

size_t cell_bytes(Type type) {
  switch (type) {
    case Type::i64:
    case Type::f64:
      return 8;
    case Type::f32:
      return 4;
    case Type::boolean:
      return 1;
    case Type::text:
      return sizeof(char*);
  }
  return 0;
}

Handle cell_type(Type type) {
  switch (type) {
    case Type::i64:
      return {H5Tcopy(H5T_NATIVE_INT64), H5Tclose, "HDF5 type"};
    case Type::f64:
      return {H5Tcopy(H5T_NATIVE_DOUBLE), H5Tclose, "HDF5 type"};
    case Type::f32:
      return {H5Tcopy(H5T_NATIVE_FLOAT), H5Tclose, "HDF5 type"};
    case Type::boolean:
      return h5::bool_type();
    case Type::text:
      return h5::text_type();
  }
  return {};
}

size_t row_bytes(const std::vector<Column>& columns) {
  size_t bytes = 0;
  for (const auto& column : columns) bytes += cell_bytes(column.type);
  return bytes;
}

Handle row_type(const std::vector<Column>& columns) {
  Handle type(H5Tcreate(H5T_COMPOUND, row_bytes(columns)), H5Tclose, "HDF5 compound type");
  size_t offset = 0;
  for (const auto& column : columns) {
    const auto member = cell_type(column.type);
    must(H5Tinsert(type.get(), column.name.c_str(), offset, member.get()), "column " + column.name);
    offset += cell_bytes(column.type);
  }
  return type;
}

// Puts one cell at `to`; text goes into `texts`, whose elements stay where they are.
void pack_cell(const Cell& cell, Type type, char* to, std::deque<std::string>& texts) {
  switch (type) {
    case Type::i64:
      std::memcpy(to, &std::get<int64_t>(cell), 8);
      break;
    case Type::f64:
      std::memcpy(to, &std::get<double>(cell), 8);
      break;
    case Type::f32: {
      const auto value = static_cast<float>(std::get<double>(cell));
      std::memcpy(to, &value, 4);
      break;
    }
    case Type::boolean:
      *to = std::get<bool>(cell) ? 1 : 0;
      break;
    case Type::text: {
      const char* text = texts.emplace_back(base::escape_text(std::get<std::string>(cell))).c_str();
      std::memcpy(to, &text, sizeof text);
      break;
    }
  }
}

void write_attributes(hid_t dataset, const TableSchema& schema) {
  base::Json columns = base::Json::object();
  std::vector<std::string> measured;
  bool has_text = false;
  for (const auto& column : schema.columns) {
    columns[column.name] = {{"unit", column.unit}, {"description", column.description}};
    if (column.measured) measured.push_back(column.name);
    has_text = has_text || column.type == Type::text;
  }
  h5::set_attribute(dataset, "schema_version", schema.version);
  h5::set_attribute(dataset, "description", schema.description);
  h5::set_text_list(dataset, "measured", measured);
  h5::set_attribute(dataset, "columns", columns);
  if (has_text) h5::set_attribute(dataset, "text_escape", kEscape);
}

bool cell_fits(const Cell& cell, Type type) {
  switch (type) {
    case Type::i64:
      return std::holds_alternative<int64_t>(cell);
    case Type::f64:
    case Type::f32:
      return std::holds_alternative<double>(cell);
    case Type::boolean:
      return std::holds_alternative<bool>(cell);
    case Type::text:
      return std::holds_alternative<std::string>(cell);
  }
  return false;
}

template <class Value>
Value value_at(const char* from) {
  Value value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

}  // namespace

const char* type_name(Type type) {
  switch (type) {
    case Type::i64:
      return "i64";
    case Type::f64:
      return "f64";
    case Type::f32:
      return "f32";
    case Type::boolean:
      return "bool";
    case Type::text:
      return "text";
  }
  return "";
}

Type type_from_name(const std::string& name) {
  for (const Type type : {Type::i64, Type::f64, Type::f32, Type::boolean, Type::text}) {
    if (name == type_name(type)) return type;
  }
  throw base::data_error("unknown type of a column or tensor: \"" + name + "\"");
}

void check_row(const Row& row, const TableSchema& schema) {
  base::check(
      row.size() == schema.columns.size(),
      str("a row of ", schema.name, " has ", schema.columns.size(), " cells, found ", row.size()));
  for (size_t i = 0; i < row.size(); ++i) {
    if (cell_fits(row[i], schema.columns[i].type)) continue;
    base::check(false, str("column ", schema.columns[i].name, " of ", schema.name, " holds ",
                           type_name(schema.columns[i].type)));
  }
}

TableWriter::TableWriter(hid_t file, std::string path, TableSchema schema, bool may_compress)
    : file_(file), path_(std::move(path)), schema_(std::move(schema)), may_compress_(may_compress) {
  base::check(!schema_.columns.empty(), "table " + schema_.name + " has columns");
  type_ = row_type(schema_.columns);
}

void TableWriter::append(Row row) {
  check_row(row, schema_);
  rows_.push_back(std::move(row));
  if (rows_.size() < kRowsInHand || !may_compress_) return;
  growing_ = true;
  flush();
}

void TableWriter::create() {
  const auto links = h5::link_plist();
  h5::create_parents(file_, path_);
  const auto plist = h5::dataset_plist();
  const hsize_t count = rows_.size();
  const size_t bytes = row_bytes(schema_.columns);
  Handle space = h5::simple_space({count});
  if (may_compress_ && (growing_ || count * bytes > kContiguousBytes)) {
    h5::compress(plist, {std::max<hsize_t>(count, kRowsInHand)}, bytes);
    const hsize_t unlimited = H5S_UNLIMITED;
    space = {H5Screate_simple(1, &count, &unlimited), H5Sclose, "HDF5 space"};
  }
  dataset_ = {H5Dcreate2(file_, path_.c_str(), type_.get(), space.get(), links.get(), plist.get(),
                         H5P_DEFAULT),
              H5Dclose, "table " + path_};
  write_attributes(dataset_.get(), schema_);
}

void TableWriter::flush() {
  if (!dataset_) create();
  if (rows_.empty()) return;
  const size_t bytes = row_bytes(schema_.columns);
  std::vector<char> packed(rows_.size() * bytes);
  std::deque<std::string> texts;
  char* to = packed.data();
  for (const auto& row : rows_) {
    for (size_t c = 0; c < row.size(); to += cell_bytes(schema_.columns[c].type), ++c) {
      pack_cell(row[c], schema_.columns[c].type, to, texts);
    }
  }
  const hsize_t count = rows_.size(), total = written_ + count;
  if (written_ > 0) must(H5Dset_extent(dataset_.get(), &total), "table " + path_);
  const Handle file_space(H5Dget_space(dataset_.get()), H5Sclose, "table " + path_);
  const Handle memory_space = h5::simple_space({count});
  must(H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, &written_, nullptr, &count, nullptr),
       "table " + path_);
  must(H5Dwrite(dataset_.get(), type_.get(), memory_space.get(), file_space.get(), H5P_DEFAULT,
                packed.data()),
       "table " + path_);
  written_ = total;
  rows_.clear();
}

void TableWriter::finish() {
  flush();
  dataset_.close("table " + path_);
}

void TableReader::add_column(unsigned member, hid_t type) {
  char* raw_name = H5Tget_member_name(type, member);
  if (!raw_name) throw h5::error("column name");
  Column column{base::replace_invalid_utf8(raw_name), Type::i64};
  const std::string exact_name = raw_name;
  H5free_memory(raw_name);
  Handle stored(H5Tget_member_type(type, member), H5Tclose, "column type");
  size_t text_size = 0;
  const size_t size = H5Tget_size(stored.get());
  switch (H5Tget_class(stored.get())) {
    case H5T_INTEGER:
      column.type = Type::i64;
      break;
    case H5T_FLOAT:
      column.type = size <= 4 ? Type::f32 : Type::f64;
      break;
    case H5T_ENUM:
      column.type = Type::boolean;
      if (size == 1) break;
      [[fallthrough]];
    default:
      throw base::data_error(str(schema_.name, ": column ", column.name,
                                 " has a type that cannot be read; expected integers, floats, "
                                 "bools or text"));
    case H5T_STRING:
      column.type = Type::text;
      if (H5Tis_variable_str(stored.get()) <= 0) text_size = size;
      break;
  }
  // Text and bools are read as they are stored, numbers converted to our widths.
  const bool as_stored = column.type == Type::text || column.type == Type::boolean;
  if (!as_stored) stored = cell_type(column.type);
  schema_.columns.push_back(column);
  text_sizes_.push_back(text_size);
  offsets_.push_back(row_bytes_);
  row_bytes_ += text_size > 0 ? text_size : cell_bytes(column.type);
  member_types_.push_back(std::move(stored));
}

TableReader::TableReader(hid_t file, const std::string& path)
    : dataset_(h5::open_dataset(file, path)) {
  schema_.name = path;
  const Handle type(H5Dget_type(dataset_.get()), H5Tclose, "table " + path);
  const auto dims = h5::dims_of(dataset_.get());
  if (H5Tget_class(type.get()) != H5T_COMPOUND || dims.size() != 1) {
    throw base::data_error(path + ": not a table; a one-dimensional compound dataset is expected");
  }
  const int members = must(H5Tget_nmembers(type.get()), "table " + path);
  for (int i = 0; i < members; ++i) add_column(static_cast<unsigned>(i), type.get());
  memory_type_ = {H5Tcreate(H5T_COMPOUND, row_bytes_), H5Tclose, "table " + path};
  for (size_t i = 0; i < member_types_.size(); ++i) {
    must(H5Tinsert(memory_type_.get(), schema_.columns[i].name.c_str(), offsets_[i],
                   member_types_[i].get()),
         "table " + path);
  }
  size_ = static_cast<int64_t>(dims[0]);
  escaped_ = !h5::attribute(dataset_.get(), "text_escape").is_null();
  const auto version = h5::attribute(dataset_.get(), "schema_version");
  if (version.is_number_integer()) schema_.version = version;
  const auto description = h5::attribute(dataset_.get(), "description");
  if (description.is_string())
    schema_.description = base::unescape_text(description.get<std::string>());
  const auto measured = h5::attribute(dataset_.get(), "measured");
  const auto columns_text = h5::attribute(dataset_.get(), "columns");
  const auto columns = columns_text.is_string()
                           ? base::Json::parse(columns_text.get<std::string>(), nullptr, false)
                           : base::Json();
  for (auto& column : schema_.columns) {
    if (measured.is_array()) {
      column.measured =
          std::find(measured.begin(), measured.end(), base::Json(column.name)) != measured.end();
    }
    if (!columns.is_object() || !columns.contains(column.name)) continue;
    const auto& about = columns[column.name];
    if (!about.is_object()) continue;
    if (about.contains("unit") && about["unit"].is_string()) column.unit = about["unit"];
    if (about.contains("description") && about["description"].is_string()) {
      column.description = about["description"];
    }
  }
}

std::vector<Row> TableReader::read(int64_t first, int64_t count) const {
  base::check(first >= 0 && count >= 0 && first + count <= size_, "rows inside the table are read");
  std::vector<Row> out;
  if (count == 0) return out;
  const hsize_t start = static_cast<hsize_t>(first), length = static_cast<hsize_t>(count);
  std::vector<char> packed(length * row_bytes_);
  const Handle file_space(H5Dget_space(dataset_.get()), H5Sclose, schema_.name);
  const Handle memory_space = h5::simple_space({length});
  must(H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, &start, nullptr, &length, nullptr),
       schema_.name);
  must(H5Dread(dataset_.get(), memory_type_.get(), memory_space.get(), file_space.get(),
               H5P_DEFAULT, packed.data()),
       schema_.name);
  const auto text_of = [&](const char* at, size_t column) {
    std::string text;
    if (const size_t size = text_sizes_[column]) {
      text.assign(at, strnlen(at, size));
    } else if (const char* pointer = value_at<const char*>(at)) {
      text = pointer;
    }
    return escaped_ ? base::unescape_text(text) : text;
  };
  out.reserve(length);
  // The texts are HDF5's until they are reclaimed, also when an escape is malformed.
  struct Reclaim {
    hid_t type, space;
    void* data;
    ~Reclaim() { H5Dvlen_reclaim(type, space, H5P_DEFAULT, data); }
  } const reclaim{memory_type_.get(), memory_space.get(), packed.data()};
  for (hsize_t r = 0; r < length; ++r) {
    Row& row = out.emplace_back();
    row.reserve(schema_.columns.size());
    for (size_t c = 0; c < schema_.columns.size(); ++c) {
      const char* at = packed.data() + r * row_bytes_ + offsets_[c];
      switch (schema_.columns[c].type) {
        case Type::i64:
          row.emplace_back(value_at<int64_t>(at));
          break;
        case Type::f64:
          row.emplace_back(value_at<double>(at));
          break;
        case Type::f32:
          row.emplace_back(static_cast<double>(value_at<float>(at)));
          break;
        case Type::boolean:
          row.emplace_back(*at != 0);
          break;
        case Type::text:
          row.emplace_back(text_of(at, c));
          break;
      }
    }
  }
  return out;
}

}  // namespace preimage::store
