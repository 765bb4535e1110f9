#include "preimage/store/segment.hpp"

#include <sys/statvfs.h>

#include <cstdio>
#include <cstring>

#include "h5.hpp"
#include "preimage/base/crc32c.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "room_on_disk.hpp"
#include "table.hpp"
#include "tensor.hpp"

// Inside the file: root attributes "format", "header", "schemas"; table "units" (id, wave, index);
// tables/NAME with the unit's position as first column; tensors/NAME with all values in one line,
// and items/NAME with one row (unit, sizes...) for each item.
namespace preimage::store {
namespace {

using base::str;
using h5::Handle;

constexpr const char* kFormat = "preimage segment 1";

TableSchema units_schema() {
  return {.name = "units",
          .description = "units of this segment",
          .columns = {{"id", Type::text}, {"wave", Type::i64}, {"index", Type::i64}}};
}

base::Json schemas_json(const Schemas& schemas) {
  base::Json tables = base::Json::array(), tensors = base::Json::array();
  for (const auto& table : schemas.tables) {
    base::Json columns = base::Json::array();
    for (const auto& c : table.columns) {
      columns.push_back({{"name", c.name},
                         {"type", type_name(c.type)},
                         {"unit", c.unit},
                         {"description", c.description},
                         {"measured", c.measured}});
    }
    tables.push_back({{"name", table.name},
                      {"description", table.description},
                      {"version", table.version},
                      {"columns", columns}});
  }
  for (const auto& tensor : schemas.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"description", tensor.description},
                       {"unit", tensor.unit},
                       {"axes", tensor.axes},
                       {"type", type_name(tensor.type)}});
  }
  return {{"tables", tables}, {"tensors", tensors}};
}

Schemas schemas_from(const base::Json& json) {
  Schemas out;
  for (const auto& table : json.at("tables")) {
    TableSchema schema{table.at("name"), table.at("description"), {}, table.at("version")};
    for (const auto& c : table.at("columns")) {
      schema.columns.push_back({c.at("name"), type_from_name(c.at("type")), c.at("unit"),
                                c.at("description"), c.at("measured")});
    }
    out.tables.push_back(std::move(schema));
  }
  for (const auto& t : json.at("tensors")) {
    out.tensors.push_back({t.at("name"), t.at("description"), t.at("unit"), t.at("axes"),
                           type_from_name(t.at("type"))});
  }
  return out;
}

base::Json header_json(const SegmentHeader& h) {
  return {{"run_identity", h.run_identity},
          {"binary", h.binary},
          {"host", h.host},
          {"device", h.device},
          {"generation", h.generation},
          {"rank", h.rank}};
}

SegmentHeader header_from(const base::Json& json) {
  return {json.at("run_identity"), json.at("binary"),     json.at("host"),
          json.at("device"),       json.at("generation"), json.at("rank")};
}

void check_names(const std::vector<SegmentUnit>& units, const Schemas& schemas) {
  const auto known = [](const auto& list, const std::string& name) {
    for (const auto& schema : list) {
      if (schema.name == name) return true;
    }
    return false;
  };
  for (const auto& unit : units) {
    for (const auto& [name, rows] : unit.output.rows) {
      if (!known(schemas.tables, name)) base::check(false, "the schemas name table " + name);
    }
    for (const auto& [name, items] : unit.output.tensors) {
      if (!known(schemas.tensors, name)) base::check(false, "the schemas name tensor " + name);
    }
  }
}

void write_table(hid_t file, const TableSchema& schema, const std::vector<SegmentUnit>& units) {
  TableSchema stored = schema;
  stored.columns.insert(stored.columns.begin(), Column{"position of the unit", Type::i64});
  TableWriter writer(file, "tables/" + schema.name, stored, false);
  for (size_t u = 0; u < units.size(); ++u) {
    const auto found = units[u].output.rows.find(schema.name);
    if (found == units[u].output.rows.end()) continue;
    for (const auto& row : found->second) {
      check_row(row, schema);
      Row whole = {static_cast<int64_t>(u)};
      whole.insert(whole.end(), row.begin(), row.end());
      writer.append(std::move(whole));
    }
  }
  writer.finish();
}

void write_tensors(hid_t file, const TensorSchema& schema, const std::vector<SegmentUnit>& units) {
  const size_t element = tensor_element_bytes(schema.type);
  std::vector<char> values;
  std::vector<int64_t> items;
  for (size_t u = 0; u < units.size(); ++u) {
    const auto found = units[u].output.tensors.find(schema.name);
    if (found == units[u].output.tensors.end()) continue;
    for (const auto& tensor : found->second) {
      check_tensor(tensor, schema);
      items.push_back(static_cast<int64_t>(u));
      items.insert(items.end(), tensor.shape.begin(), tensor.shape.end());
      const auto* data = static_cast<const char*>(tensor_data(tensor));
      const size_t bytes = static_cast<size_t>(element_count(tensor.shape)) * element;
      values.insert(values.end(), data, data + bytes);
    }
  }
  const hsize_t width = schema.axes.size();  // the unit, then one size for each axis of an item
  write_array(file, "items/" + schema.name, {items.size() / width, width},
              tensor_element_type(Type::i64), items.data());
  write_array(file, "tensors/" + schema.name, {values.size() / element},
              tensor_element_type(schema.type), values.data());
}

std::string segment_image(const SegmentHeader& header, const std::vector<SegmentUnit>& units,
                          const Schemas& schemas) {
  const auto file = h5::create_memory_file();
  h5::set_attribute(file.get(), "format", kFormat);
  h5::set_attribute(file.get(), "header", header_json(header));
  h5::set_attribute(file.get(), "schemas", schemas_json(schemas));
  TableWriter table(file.get(), "units", units_schema(), false);
  for (const auto& unit : units) table.append({unit.id, unit.wave, unit.index});
  table.finish();
  for (const auto& schema : schemas.tables) write_table(file.get(), schema, units);
  for (const auto& schema : schemas.tensors) write_tensors(file.get(), schema, units);
  return h5::file_image(file);
}

// What is wrong with these bytes as the file of `ref`, or "".
std::string fault_of(const std::string& bytes, const std::filesystem::path& path,
                     const SegmentRef& ref) {
  if (bytes.size() != ref.bytes) {
    return str(path.string(), ": ", bytes.size(), " bytes, expected ", ref.bytes,
               "; the segment was cut or overwritten; --resume computes its units again");
  }
  if (const uint32_t crc = base::crc32c(bytes); crc != ref.crc) {
    char text[80];
    std::snprintf(text, sizeof text, ": CRC-32C is %08x, expected %08x", crc, ref.crc);
    return path.string() + text +
           "; the segment was changed on disk; --resume computes its units again";
  }
  return "";
}

struct OpenSegment {
  Handle file;
  SegmentHeader header;
  Schemas schemas;
  std::vector<Row> units;
};

OpenSegment open_segment(const std::filesystem::path& folder, const SegmentRef& ref) {
  const auto path = folder / ref.name;
  const auto bytes = base::read_file(path);
  if (const auto fault = fault_of(bytes, path, ref); !fault.empty()) throw base::data_error(fault);
  OpenSegment out{h5::open_image(bytes, path.string()), {}, {}, {}};
  const auto format = h5::attribute(out.file.get(), "format");
  if (format != kFormat) {
    throw base::data_error(str(path.string(), ": format is ", format.dump(), ", expected \"",
                               kFormat, "\"; written by another version of preimage"));
  }
  const auto parsed = [&](const char* name) {
    return base::Json::parse(h5::attribute(out.file.get(), name).get<std::string>());
  };
  out.header = header_from(parsed("header"));
  out.schemas = schemas_from(parsed("schemas"));
  const TableReader units(out.file.get(), "units");
  out.units = units.read(0, units.size());
  return out;
}

void read_table_into(hid_t file, const TableSchema& schema, std::vector<SegmentUnit>& units) {
  const TableReader reader(file, "tables/" + schema.name);
  for (auto& row : reader.read(0, reader.size())) {
    const auto unit = static_cast<size_t>(std::get<int64_t>(row[0]));
    row.erase(row.begin());
    units.at(unit).output.rows[schema.name].push_back(std::move(row));
  }
}

SegmentSizes::Items read_items(hid_t file, const TensorSchema& schema) {
  const auto flat = read_integers(file, "items/" + schema.name);
  const size_t width = schema.axes.size();
  SegmentSizes::Items out;
  for (size_t at = 0; at + width <= flat.size(); at += width) {
    out.unit.push_back(flat[at]);
    out.shapes.emplace_back(flat.begin() + static_cast<int64_t>(at) + 1,
                            flat.begin() + static_cast<int64_t>(at + width));
  }
  return out;
}

void read_tensors_into(hid_t file, const TensorSchema& schema, std::vector<SegmentUnit>& units) {
  const std::string path = "tensors/" + schema.name;
  const auto dataset = h5::open_dataset(file, path);
  const auto count = static_cast<int64_t>(h5::dims_of(dataset.get()).at(0));
  Tensor all = make_tensor(schema.type, {count});
  const auto type = tensor_element_type(schema.type);
  if (count > 0) {
    h5::must(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor_data(all)),
             path);
  }
  const auto* from = static_cast<const char*>(tensor_data(all));
  const auto items = read_items(file, schema);
  for (size_t i = 0; i < items.unit.size(); ++i) {
    Tensor item = make_tensor(schema.type, items.shapes[i]);
    const size_t bytes =
        static_cast<size_t>(element_count(item.shape)) * tensor_element_bytes(schema.type);
    if (bytes > 0) std::memcpy(tensor_data(item), from, bytes);
    from += bytes;
    units.at(static_cast<size_t>(items.unit[i]))
        .output.tensors[schema.name]
        .push_back(std::move(item));
  }
}

}  // namespace

void require_room(const std::filesystem::path& folder, uint64_t bytes) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) return;  // the write itself will tell
  const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
  if (free < bytes) {
    throw base::io_error(str(folder.string(), ": ", base::human_bytes(free), " free, ", bytes,
                             " bytes (", base::human_bytes(bytes),
                             ") needed; make room and --resume"));
  }
}

std::string segment_name(int64_t generation, int64_t rank, int64_t number) {
  char text[80];
  std::snprintf(text, sizeof text, "seg-g%03lld-r%03lld-%06lld.h5",
                static_cast<long long>(generation), static_cast<long long>(rank),
                static_cast<long long>(number));
  return text;
}

SegmentRef write_segment(const std::filesystem::path& path, const SegmentHeader& header,
                         const std::vector<SegmentUnit>& units, const Schemas& schemas) {
  check_names(units, schemas);
  const auto image = segment_image(header, units, schemas);
  require_room(path.has_parent_path() ? path.parent_path() : ".", image.size());
  base::write_file_atomically(path, image);
  return {path.filename().string(), base::crc32c(image), image.size()};
}

std::optional<std::string> segment_fault(const std::filesystem::path& folder,
                                         const SegmentRef& ref) {
  try {
    const auto fault = fault_of(base::read_file(folder / ref.name), folder / ref.name, ref);
    if (!fault.empty()) return fault;
  } catch (const base::Error& error) {
    return error.what();
  }
  return std::nullopt;
}

Segment read_segment(const std::filesystem::path& folder, const SegmentRef& ref) {
  auto open = open_segment(folder, ref);
  Segment out{std::move(open.header), {}, std::move(open.schemas)};
  for (const auto& row : open.units) {
    out.units.push_back(
        {std::get<std::string>(row[0]), std::get<int64_t>(row[1]), std::get<int64_t>(row[2]), {}});
  }
  for (const auto& schema : out.schemas.tables) read_table_into(open.file.get(), schema, out.units);
  for (const auto& schema : out.schemas.tensors) {
    read_tensors_into(open.file.get(), schema, out.units);
  }
  return out;
}

SegmentSizes read_segment_sizes(const std::filesystem::path& folder, const SegmentRef& ref) {
  auto open = open_segment(folder, ref);
  SegmentSizes out{std::move(open.header), {}, {}};
  for (const auto& row : open.units) out.unit_ids.push_back(std::get<std::string>(row[0]));
  for (const auto& schema : open.schemas.tensors) {
    out.tensors[schema.name] = read_items(open.file.get(), schema);
  }
  return out;
}

}  // namespace preimage::store
