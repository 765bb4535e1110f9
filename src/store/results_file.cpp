#include "results_file.hpp"

#include "preimage/base/file.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::store {
namespace {

void write_leaves(hid_t group, const std::string& prefix, const base::Json& json) {
  for (const auto& [name, value] : json.items()) {
    const auto path = base::escape_text(prefix.empty() ? name : prefix + "." + name);
    if (value.is_object() && !value.empty())
      write_leaves(group, path, value);
    else
      h5::set_attribute(group, path, value);
  }
}

}  // namespace

TableSchema results_units_schema() {
  return {.name = "units",
          .description = "every committed unit of work, in the order of the rows of all tables",
          .columns = {{"id", Type::text, "", "first 128 bits of SHA-256 of method, stage, key"},
                      {"stage", Type::text},
                      {"key", Type::text, "", "JSON"},
                      {"wave", Type::i64},
                      {"index", Type::i64, "", "within the wave"},
                      {"scalars", Type::text, "", "JSON: what the search was told"},
                      {"measured", Type::text, "", "JSON: the seconds that the unit took", true}},
          .version = 2};
}

TableSchema quarantine_schema() {
  return {.name = "quarantine",
          .description = "units that ended their rank too often and are missing everywhere else",
          .columns = {{"id", Type::text},
                      {"stage", Type::text},
                      {"key", Type::text, "", "JSON"},
                      {"wave", Type::i64},
                      {"index", Type::i64, "", "within the wave"},
                      {"reason", Type::text}}};
}

IndexedTensorWriter::IndexedTensorWriter(hid_t file, const TensorSchema& schema,
                                         std::vector<int64_t> shape)
    : file_(file), schema_(schema), values_(file, schema, std::move(shape)) {}

void IndexedTensorWriter::append(const ResultsItem& item, const std::vector<int64_t>& sizes) {
  values_.append(*item.tensor);
  index_.push_back(item.unit);
  index_.push_back(item.run);
  index_.insert(index_.end(), sizes.begin(), sizes.end());
}

void IndexedTensorWriter::finish() {
  values_.finish();
  const hsize_t width = schema_.axes.size() + 1;  // unit, run, sizes of all axes but the first
  const auto dataset = write_array(file_, "index/" + schema_.name, {index_.size() / width, width},
                                   tensor_element_type(Type::i64), index_.data());
  std::vector<std::string> columns = {"unit", "run"};
  columns.insert(columns.end(), schema_.axes.begin() + 1, schema_.axes.end());
  h5::set_text_list(dataset.get(), "columns", columns);
  h5::set_attribute(dataset.get(), "description",
                    "for each item of the tensor: row in /units (-1: end of the search), run, and "
                    "its sizes before padding");
}

void write_json_group(hid_t file, const std::string& name, const base::Json& json) {
  const auto group = h5::open_or_create_group(file, name);
  h5::set_attribute(group.get(), "json",
                    base::Json(json.is_object() ? json : base::Json{{"", json}}));
  if (json.is_object()) write_leaves(group.get(), "", json);
}

ResultsFile::ResultsFile(const std::filesystem::path& path)
    : path_(path), temporary_(path.string() + ".tmp") {
  try {
    file_ = h5::create_file(temporary_);
  } catch (const base::Error&) {
    abandon();
    throw;
  }
}

ResultsFile::~ResultsFile() {
  if (!published_) abandon();
}

void ResultsFile::abandon() {
  file_ = {};  // closes silently
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

void ResultsFile::publish() {
  const std::string place = temporary_.string() + ": cannot be written; is the disk full?";
  h5::must(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), place);
  file_.close(place);
  base::sync_path(temporary_);
  std::filesystem::rename(temporary_, path_);
  published_ = true;
  base::sync_path(path_.has_parent_path() ? path_.parent_path() : ".");
}

}  // namespace preimage::store
