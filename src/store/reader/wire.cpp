#include "reader/wire.hpp"

#include <cstring>

#include "preimage/base/error.hpp"
#include "table.hpp"
#include "tensor.hpp"

namespace preimage::store {
namespace {

using base::Json;

template <class Value>
void put(const Value& value, std::string& out) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Takes what was put, and no byte beyond.
struct Bytes {
  std::string_view rest;
  std::string_view take(size_t count) {
    if (count > rest.size()) throw base::data_error("an answer of the HDF5 reader is torn");
    const auto out = rest.substr(0, count);
    rest.remove_prefix(count);
    return out;
  }
  template <class Value>
  Value get() {
    Value value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
};

Json column_to_json(const Column& c) {
  return {c.name, type_name(c.type), c.unit, c.description, c.measured};
}

void put_cell(const Cell& cell, std::string& out) {
  if (const auto* text = std::get_if<std::string>(&cell)) {
    put(uint64_t{text->size()}, out);
    out += *text;
  } else {
    std::visit(
        [&](const auto& value) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, std::string>)
            put(value, out);
        },
        cell);
  }
}

Cell get_cell(Bytes& bytes, Type type) {
  switch (type) {
    case Type::i64:
      return bytes.get<int64_t>();
    case Type::f64:
    case Type::f32:
      return bytes.get<double>();
    case Type::boolean:
      return bytes.get<char>() != 0;
    case Type::text:
      break;
  }
  return std::string(bytes.take(bytes.get<uint64_t>()));
}

}  // namespace

std::string pack(const Json& json) {
  std::string out;
  Json::to_msgpack(json, out);
  return out;
}

Json unpack(std::string_view bytes) {
  auto json = Json::from_msgpack(bytes.begin(), bytes.end(), true, false);
  if (json.is_discarded()) throw base::data_error("an answer of the HDF5 reader is torn");
  return json;
}

Json schema_to_json(const TableSchema& schema) {
  Json columns = Json::array();
  for (const auto& column : schema.columns) columns.push_back(column_to_json(column));
  return {schema.name, schema.description, columns, schema.version};
}

TableSchema schema_from_json(const Json& json) {
  TableSchema out{json.at(0), json.at(1), {}, json.at(3)};
  for (const auto& c : json.at(2))
    out.columns.push_back({c.at(0), type_from_name(c.at(1)), c.at(2), c.at(3), c.at(4)});
  return out;
}

Json info_to_json(const FileInfo& info) {
  Json tables = Json::array(), tensors = Json::array();
  for (const auto& table : info.tables)
    tables.push_back({table.name, table.rows, schema_to_json(table.schema), table.attributes});
  for (const auto& tensor : info.tensors) {
    const auto& schema = tensor.schema;
    tensors.push_back(
        {tensor.name,
         tensor.shape,
         {schema.name, schema.description, schema.unit, schema.axes, type_name(schema.type)},
         tensor.attributes});
  }
  return {{"format", info.format},       {"attributes", info.attributes},
          {"config", info.config},       {"provenance", info.provenance},
          {"tables", std::move(tables)}, {"tensors", std::move(tensors)},
          {"others", Json(info.others)}};
}

FileInfo info_from_json(const Json& json) {
  FileInfo out;
  out.format = json.at("format");
  out.attributes = json.at("attributes");
  out.config = json.at("config");
  out.provenance = json.at("provenance");
  for (const auto& t : json.at("tables"))
    out.tables.push_back({t.at(0), t.at(1), schema_from_json(t.at(2)), t.at(3)});
  for (const auto& t : json.at("tensors")) {
    const auto& s = t.at(2);
    out.tensors.push_back(
        {t.at(0), t.at(1), {s.at(0), s.at(1), s.at(2), s.at(3), type_from_name(s.at(4))}, t.at(3)});
  }
  out.others = json.at("others");
  return out;
}

std::string rows_to_bytes(const std::vector<Row>& rows, const TableSchema&) {
  std::string out;
  put(uint64_t{rows.size()}, out);
  for (const auto& row : rows) {
    for (const auto& cell : row) put_cell(cell, out);
  }
  return out;
}

std::vector<Row> rows_from_bytes(std::string_view text, const TableSchema& schema) {
  Bytes bytes{text};
  const auto count = bytes.get<uint64_t>();
  std::vector<Row> out;
  for (uint64_t r = 0; r < count && !bytes.rest.empty(); ++r) {
    Row& row = out.emplace_back();
    row.reserve(schema.columns.size());
    for (const auto& column : schema.columns) row.push_back(get_cell(bytes, column.type));
  }
  return out;
}

std::string tensor_to_bytes(const Tensor& tensor) {
  std::string out;
  put(uint64_t{tensor.shape.size()}, out);
  for (const int64_t size : tensor.shape) put(size, out);
  const Type types[] = {Type::f32, Type::f64, Type::i64};
  const Type type = types[tensor.values.index()];
  put(type, out);
  const size_t bytes =
      static_cast<size_t>(element_count(tensor.shape)) * tensor_element_bytes(type);
  if (bytes > 0) out.append(static_cast<const char*>(tensor_data(tensor)), bytes);
  return out;
}

Tensor tensor_from_bytes(std::string_view text) {
  Bytes bytes{text};
  const auto axes = bytes.get<uint64_t>();
  std::vector<int64_t> shape;
  for (uint64_t i = 0; i < axes; ++i) shape.push_back(bytes.get<int64_t>());
  const auto type = bytes.get<Type>();
  uint64_t count = tensor_element_bytes(type);
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, static_cast<uint64_t>(size), &count) ||
        count > bytes.rest.size())
      throw base::data_error("an answer of the HDF5 reader is torn");
  }
  const auto values = bytes.take(count);
  Tensor out = make_tensor(type, shape);
  if (count > 0) std::memcpy(tensor_data(out), values.data(), count);
  return out;
}

}  // namespace preimage::store
