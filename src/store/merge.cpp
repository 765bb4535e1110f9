#include <algorithm>
#include <map>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/store/inspect.hpp"
#include "results_file.hpp"
#include "room_on_disk.hpp"

namespace preimage::store {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str;

// One file to be merged, looked over.
struct Source {
  fs::path path;
  std::string label;
  FileInfo info;
  int64_t first_unit = 0;  // of its units in the merged table
};

bool is_index(const std::string& name) {
  return name.starts_with("index/");
}

std::vector<std::string> labels_of(const std::vector<fs::path>& paths) {
  std::vector<std::string> labels;
  for (const auto& path : paths) {
    const auto whole = fs::absolute(path).lexically_normal();
    const bool in_folder = whole.filename() == "results.h5";
    labels.push_back((in_folder ? whole.parent_path().filename() : whole.stem()).string());
  }
  if (std::set<std::string>(labels.begin(), labels.end()).size() < labels.size()) {
    for (size_t i = 0; i < paths.size(); ++i) labels[i] = paths[i].string();
  }
  return labels;
}

std::vector<Source> sources_of(const std::vector<fs::path>& paths) {
  const auto labels = labels_of(paths);
  std::vector<Source> out;
  int64_t units = 0;
  for (size_t i = 0; i < paths.size(); ++i) {
    Source source{paths[i], labels[i], inspect_file(paths[i]), units};
    if (source.info.format != kResultsFormat) {
      throw base::data_error(str(paths[i].string(), ": format is \"", source.info.format,
                                 "\", expected \"", kResultsFormat,
                                 "\"; only results files of preimage can be merged"));
    }
    for (const auto& table : source.info.tables) {
      if (table.name == "units") units += table.rows;
    }
    out.push_back(std::move(source));
  }
  return out;
}

// A copy of a run's results under another name would double its rows. Two runs of one job differ in
// their starts.
void refuse_same_run(const std::vector<Source>& sources) {
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto& one = sources[i].info.provenance;
    if (!one.is_object() || !one.contains("starts")) continue;
    for (size_t j = 0; j < i; ++j) {
      const auto& other = sources[j].info.provenance;
      if (!other.is_object() || one.value("identity", Json()) != other.value("identity", Json()) ||
          one["starts"] != other.value("starts", Json()))
        continue;
      throw base::config_error(
          str("merge: ", sources[j].path.string(), " and ", sources[i].path.string(),
              " are results of the same run (identity ", one.value("identity", "?").substr(0, 12),
              "); name one of them"));
    }
  }
}

std::string columns_text(const TableSchema& schema) {
  std::vector<std::string> names;
  for (const auto& column : schema.columns) {
    names.push_back(column.name + " " + type_name(column.type));
  }
  return base::join(names, ", ");
}

// The tables of all files in the order in which they are first met; each with the files that have
// it.
struct MergedTable {
  TableSchema schema;
  std::vector<const Source*> sources;
};

std::vector<MergedTable> tables_of(const std::vector<Source>& sources) {
  std::vector<MergedTable> out;
  for (const auto& source : sources) {
    for (const auto& table : source.info.tables) {
      const auto found = std::find_if(out.begin(), out.end(), [&](const MergedTable& other) {
        return other.schema.name == table.name;
      });
      if (found == out.end()) {
        out.push_back({table.schema, {&source}});
        continue;
      }
      const auto& first = found->sources.front()->path;
      if (found->schema.version != table.schema.version) {
        throw base::data_error(str("table ", table.name, " has schema version ",
                                   found->schema.version, " in ", first.string(), " and ",
                                   table.schema.version, " in ", source.path.string(),
                                   "; files of one version can be merged"));
      }
      if (columns_text(found->schema) != columns_text(table.schema)) {
        throw base::data_error(str("table ", table.name, " has the columns ",
                                   columns_text(found->schema), " in ", first.string(), " and ",
                                   columns_text(table.schema), " in ", source.path.string(),
                                   "; files with the same columns can be merged"));
      }
      found->sources.push_back(&source);
    }
  }
  return out;
}

struct MergedTensor {
  TensorSchema schema;
  std::vector<int64_t> shape;
  std::vector<const Source*> sources;
};

std::vector<MergedTensor> tensors_of(const std::vector<Source>& sources) {
  std::vector<MergedTensor> out;
  for (const auto& source : sources) {
    for (const auto& tensor : source.info.tensors) {
      if (is_index(tensor.name)) continue;
      auto found = std::find_if(out.begin(), out.end(), [&](const MergedTensor& other) {
        return other.schema.name == tensor.name;
      });
      if (found == out.end()) {
        out.push_back({tensor.schema, tensor.shape, {&source}});
        continue;
      }
      if (found->schema.type != tensor.schema.type || found->schema.axes != tensor.schema.axes) {
        throw base::data_error(str("tensor ", tensor.name, " has other axes or another type in ",
                                   found->sources.front()->path.string(), " than in ",
                                   source.path.string()));
      }
      found->shape[0] += tensor.shape[0];
      for (size_t i = 1; i < tensor.shape.size(); ++i) {
        found->shape[i] = std::max(found->shape[i], tensor.shape[i]);
      }
      found->sources.push_back(&source);
    }
  }
  return out;
}

void merge_table(hid_t out, const MergedTable& table) {
  TableSchema schema = table.schema;
  schema.columns.insert(schema.columns.begin(),
                        Column{"run", Type::text, "", "the file that the row comes from"});
  TableWriter writer(out, schema.name, schema, true);
  for (const auto* source : table.sources) {
    read_table(source->path, schema.name, [&](Row row) {
      row.insert(row.begin(), source->label);
      writer.append(std::move(row));
    });
  }
  writer.finish();
}

void merge_tensor(hid_t out, const MergedTensor& tensor, const std::vector<Source>& sources) {
  IndexedTensorWriter writer(out, tensor.schema, tensor.shape);
  const size_t width = tensor.schema.axes.size() + 1;
  for (const auto* source : tensor.sources) {
    std::vector<std::vector<int64_t>> index;
    read_items(source->path, "index/" + tensor.schema.name, [&](const Tensor& row) {
      const auto* values = std::get_if<std::vector<int64_t>>(&row.values);
      index.push_back(values ? *values : std::vector<int64_t>{});
    });
    size_t items = 0;
    const auto require = [&](bool holds) {
      if (holds) return;
      throw base::data_error(str(source->path.string(), ": index/", tensor.schema.name,
                                 " does not have one row for each item"));
    };
    read_items(source->path, tensor.schema.name, [&](const Tensor& item) {
      require(items < index.size() && index[items].size() == width);
      const auto& row = index[items++];
      writer.append({row[0] < 0 ? -1 : row[0] + source->first_unit, source - sources.data(), &item},
                    {row.begin() + 2, row.end()});
    });
    require(items == index.size());
  }
  writer.finish();
}

}  // namespace

void merge_results(const std::vector<fs::path>& paths, const fs::path& out) {
  if (paths.empty()) throw base::config_error("merge: no file is named");
  for (size_t i = 0; i < paths.size(); ++i) {
    std::error_code ignored;
    if (fs::equivalent(paths[i], out, ignored))
      throw base::config_error(out.string() + ": is also one of the files to be merged");
    for (size_t j = 0; j < i; ++j) {
      if (!fs::equivalent(paths[i], paths[j], ignored)) continue;
      throw base::config_error(str("merge: ", paths[i].string(),
                                   " is named twice; its rows would stand twice in the result"));
    }
  }
  const auto sources = sources_of(paths);
  refuse_same_run(sources);
  const auto tables = tables_of(sources);
  const auto tensors = tensors_of(sources);
  uint64_t needed = 1 << 20;
  for (const auto& path : paths) needed += fs::file_size(path);
  require_room(out.has_parent_path() ? out.parent_path() : ".", needed);

  ResultsFile file(out);
  h5::set_attribute(file.get(), "format", kResultsFormat);
  Json configs = Json::object(), provenances = Json::object(), runs = Json::array();
  for (const auto& source : sources) {
    configs[source.label] = source.info.config;
    provenances[source.label] = source.info.provenance;
    runs.push_back(source.label);
  }
  for (const auto& table : tables) merge_table(file.get(), table);
  for (const auto& tensor : tensors) merge_tensor(file.get(), tensor, sources);
  h5::set_attribute(file.get(), "runs", runs);
  write_json_group(file.get(), "config", configs);
  write_json_group(file.get(), "provenance", provenances);
  file.publish();
}

}  // namespace preimage::store
