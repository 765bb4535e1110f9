// The parts of a results file, as write_results and merge_results both lay them down.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "h5.hpp"
#include "table.hpp"
#include "tensor.hpp"

namespace preimage::store {

constexpr const char* kResultsFormat = "preimage results 1";

TableSchema results_units_schema();
TableSchema quarantine_schema();

// An item of a tensor: whose it is, and its values.
struct ResultsItem {
  int64_t unit = -1;
  int64_t run = 0;
  const Tensor* tensor = nullptr;
};

// A tensor dataset and its /index.
class IndexedTensorWriter {
 public:
  // `shape` is the padded shape with the number of items first.
  IndexedTensorWriter(hid_t file, const TensorSchema& schema, std::vector<int64_t> shape);
  // `sizes`: what the index says of the item's own sizes.
  void append(const ResultsItem& item, const std::vector<int64_t>& sizes);
  void finish();

 private:
  hid_t file_;
  TensorSchema schema_;
  TensorWriter values_;
  std::vector<int64_t> index_;
};

// A group whose attributes are the leaves of `json`, plus all of it as text under "json".
void write_json_group(hid_t file, const std::string& name, const base::Json& json);

// Opens path + ".tmp", calls `fill`, closes, fsyncs and renames. On any error the temporary file is
// removed and the error passed on.
class ResultsFile {
 public:
  explicit ResultsFile(const std::filesystem::path& path);
  ~ResultsFile();
  ResultsFile(const ResultsFile&) = delete;
  ResultsFile& operator=(const ResultsFile&) = delete;
  hid_t get() const { return file_.get(); }
  void publish();

 private:
  std::filesystem::path path_, temporary_;
  h5::Handle file_;
  bool published_ = false;
  void abandon();
};

}  // namespace preimage::store
