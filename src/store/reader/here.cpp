#include "reader/here.hpp"

#include <algorithm>

#include "foreign.hpp"
#include "preimage/base/str.hpp"
#include "table.hpp"
#include "tensor.hpp"

namespace preimage::store {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str;
using h5::Handle;

constexpr int64_t kRowsInHand = 16384;

Json json_of_group(hid_t file, const std::string& name) {
  if (!h5::exists(file, name)) return nullptr;
  const Handle group(H5Gopen2(file, name.c_str(), H5P_DEFAULT), H5Gclose, name);
  const auto text = h5::attribute(group.get(), "json");
  if (!text.is_string()) return nullptr;
  const auto json = Json::parse(text.get<std::string>(), nullptr, false);
  return json.is_discarded() ? Json() : json;
}

// Puts a dataset where it belongs.
void add_dataset(hid_t file, const std::string& name, FileInfo& info) {
  const auto dataset = h5::open_dataset(file, name);
  const Handle type(H5Dget_type(dataset.get()), H5Tclose, name);
  const auto kind = H5Tget_class(type.get());
  try {
    if (kind == H5T_COMPOUND) {
      const TableReader reader(file, name);
      info.tables.push_back({name, reader.size(), reader.schema(), h5::attributes(dataset.get())});
      return;
    }
    if (kind == H5T_INTEGER || kind == H5T_FLOAT) {
      const TensorReader reader(file, name);
      info.tensors.push_back(
          {name, reader.shape(), reader.schema(), h5::attributes(dataset.get())});
      return;
    }
  } catch (const base::Error& error) {
    if (error.code() != base::ExitCode::bad_data) throw;
  }
  info.others.push_back(name);
}

void require_dataset(const ForeignFile& file, const fs::path& path, const std::string& name) {
  const auto& all = file.datasets;
  if (std::find(all.begin(), all.end(), name) != all.end()) return;
  const auto near = base::nearest(name, all);
  const std::string hint = near.empty() ? str("; it holds ", base::join(all, ", "))
                                        : " (did you mean \"" + near + "\"?)";
  throw base::data_error(str(path.string(), ": no dataset \"", name, "\"", hint));
}

// The true sizes of an item where the file has an index, else nothing.
std::vector<int64_t> sizes_of_item(hid_t file, const TensorReader& reader, const std::string& name,
                                   int64_t item) {
  if (!h5::exists(file, "index/" + name)) return {};
  const TensorReader index(file, "index/" + name);
  const auto axes = static_cast<int64_t>(reader.shape().size());
  if (index.schema().type != Type::i64 || axes < 2 ||
      index.shape() != std::vector<int64_t>{reader.shape()[0], axes + 1}) {
    return {};
  }
  const auto row = std::get<std::vector<int64_t>>(index.read(item).values);
  std::vector<int64_t> sizes(row.begin() + 2, row.end());
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0 || sizes[i] > reader.shape()[i + 1]) return {};
  }
  return sizes;
}

}  // namespace

FileInfo inspect_here(const fs::path& path) {
  const auto foreign = open_foreign(path);
  return reading(path, [&] {
    FileInfo out;
    const hid_t file = foreign.file.get();
    const Handle root(H5Gopen2(file, "/", H5P_DEFAULT), H5Gclose, "/");
    out.attributes = h5::attributes(root.get());
    out.format = out.attributes.value("format", Json()).is_string()
                     ? out.attributes["format"].get<std::string>()
                     : "";
    out.config = json_of_group(file, "config");
    out.provenance = json_of_group(file, "provenance");
    for (const auto& name : foreign.datasets) add_dataset(file, name, out);
    return out;
  });
}

void read_table_here(const fs::path& path, const std::string& table, const RowsTaker& take) {
  const auto foreign = open_foreign(path);
  require_dataset(foreign, path, table);
  reading(path, [&] {
    const TableReader reader(foreign.file.get(), table);
    take(reader.schema(), {});
    for (int64_t at = 0; at < reader.size(); at += kRowsInHand)
      take(reader.schema(), reader.read(at, std::min(kRowsInHand, reader.size() - at)));
  });
}

TensorInHand read_tensor_here(const TensorReference& reference) {
  const auto foreign = open_foreign(reference.file);
  require_dataset(foreign, reference.file, reference.dataset);
  return reading(reference.file, [&] {
    const hid_t file = foreign.file.get();
    const TensorReader reader(file, reference.dataset);
    TensorInHand out{reader.schema().type, reader.shape(), {}};
    if (reference.item < 0) {
      for (int64_t i = 0; !out.shape.empty() && i < out.shape[0]; ++i)
        out.items.push_back(reader.read(i));
      return out;
    }
    // read() names a row that is not there, before the index is asked for it
    auto item = reader.read(reference.item);
    const auto sizes = sizes_of_item(file, reader, reference.dataset, reference.item);
    if (!sizes.empty()) item = reader.read(reference.item, sizes);
    out.shape = item.shape;
    out.items.push_back(std::move(item));
    return out;
  });
}

void read_items_here(const fs::path& path, const std::string& dataset,
                     const std::function<void(const Tensor&)>& take) {
  const auto foreign = open_foreign(path);
  require_dataset(foreign, path, dataset);
  reading(path, [&] {
    const TensorReader reader(foreign.file.get(), dataset);
    for (int64_t i = 0; !reader.shape().empty() && i < reader.shape()[0]; ++i) take(reader.read(i));
  });
}

}  // namespace preimage::store
