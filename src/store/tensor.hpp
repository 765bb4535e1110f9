// Tensor datasets: items along the first axis, padded to one size.
#pragma once

#include <string>
#include <vector>

#include "h5.hpp"
#include "preimage/store/schema.hpp"

namespace preimage::store {

// Throws ExitCode::bug unless the item has the schema's type, number of axes and number of values.
void check_tensor(const Tensor& tensor, const TensorSchema& schema);

size_t tensor_element_bytes(Type type);
h5::Handle tensor_element_type(Type type);
const void* tensor_data(const Tensor& tensor);
// An item with room for the values of `shape`.
Tensor make_tensor(Type type, std::vector<int64_t> shape);
void* tensor_data(Tensor& tensor);
int64_t element_count(const std::vector<int64_t>& shape);

// Writes one dataset of a known shape item by item. Memory: about 4 MiB, or one padded item.
class TensorWriter {
 public:
  // `shape` starts with the number of items; the others are the largest of all items.
  TensorWriter(hid_t file, const TensorSchema& schema, std::vector<int64_t> shape);
  void append(const Tensor& item);
  void finish();  // call once, after exactly shape[0] items

 private:
  void flush();
  TensorSchema schema_;
  std::vector<hsize_t> shape_;
  size_t item_bytes_ = 0;
  std::vector<char> buffer_;  // whole padded items
  hsize_t written_ = 0;
  h5::Handle dataset_;
};

// Reads datasets of integers or floats of any shape as i64, f32 or f64.
class TensorReader {
 public:
  // Throws ExitCode::bad_data when the dataset holds something else.
  TensorReader(hid_t file, const std::string& path);
  const TensorSchema& schema() const { return schema_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  // One item (its shape lacks the first axis), or with `sizes` its upper corner only.
  Tensor read(int64_t item, const std::vector<int64_t>& sizes = {}) const;

 private:
  h5::Handle dataset_;
  TensorSchema schema_;
  std::vector<int64_t> shape_;
};

// A whole dataset of integers as one list (row-major).
std::vector<int64_t> read_integers(hid_t file, const std::string& path);
// Writes a small or large dataset in one go; `data` may be null when it is empty.
h5::Handle write_array(hid_t file, const std::string& path, const std::vector<hsize_t>& dims,
                       const h5::Handle& type, const void* data);

}  // namespace preimage::store
