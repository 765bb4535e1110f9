#include "tensor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "table.hpp"

namespace preimage::store {
namespace {

using base::str;
using h5::Handle;
using h5::must;

constexpr size_t kBufferBytes = 4 << 20;
constexpr size_t kContiguousBytes = 64 << 10;

// Copies an item of sizes `from` into the upper corner of one of sizes `to`, axis by axis.
struct Padder {
  const std::vector<int64_t>& from;
  const std::vector<hsize_t>& to;  // with the item axis first
  size_t element;

  void copy(size_t axis, const char* in, char* out) const {
    if (axis + 1 >= from.size()) {
      const size_t count = from.empty() ? 1 : static_cast<size_t>(from.back());
      if (count > 0) std::memcpy(out, in, count * element);
      return;
    }
    size_t in_step = element, out_step = element;
    for (size_t i = axis + 1; i < from.size(); ++i) {
      in_step *= static_cast<size_t>(from[i]);
      out_step *= to[i + 1];
    }
    for (int64_t i = 0; i < from[axis]; ++i, in += in_step, out += out_step) {
      copy(axis + 1, in, out);
    }
  }
};

template <class Value>
void fill_with(std::vector<char>& bytes, Value value) {
  for (size_t at = 0; at < bytes.size(); at += sizeof value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
}

void fill_padding(std::vector<char>& bytes, Type type) {
  switch (type) {
    case Type::f32:
      fill_with(bytes, std::numeric_limits<float>::quiet_NaN());
      break;
    case Type::f64:
      fill_with(bytes, std::numeric_limits<double>::quiet_NaN());
      break;
    default:
      fill_with(bytes, int64_t{-1});
      break;
  }
}

void write_attributes(hid_t dataset, const TensorSchema& schema,
                      const std::vector<int64_t>& shape) {
  // An empty list would be stored as text; a tensor has at least its item axis.
  h5::set_attribute(dataset, "shape", shape);
  h5::set_attribute(dataset, "unit", schema.unit);
  h5::set_attribute(dataset, "description", schema.description);
  h5::set_text_list(dataset, "axes", schema.axes);
  h5::set_attribute(dataset, "padding", schema.type == Type::i64 ? "-1" : "NaN");
}

}  // namespace

size_t tensor_element_bytes(Type type) {
  return type == Type::f32 ? 4 : 8;
}

Handle tensor_element_type(Type type) {
  base::check(type == Type::f32 || type == Type::f64 || type == Type::i64,
              "a tensor holds f32, f64 or i64");
  const hid_t native = type == Type::f32   ? H5T_NATIVE_FLOAT
                       : type == Type::f64 ? H5T_NATIVE_DOUBLE
                                           : H5T_NATIVE_INT64;
  return {H5Tcopy(native), H5Tclose, "HDF5 type"};
}

const void* tensor_data(const Tensor& tensor) {
  return std::visit([](const auto& values) -> const void* { return values.data(); }, tensor.values);
}

void* tensor_data(Tensor& tensor) {
  return std::visit([](auto& values) -> void* { return values.data(); }, tensor.values);
}

int64_t element_count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    base::check(size >= 0, "sizes of a tensor are not negative");
    base::check(!__builtin_mul_overflow(count, size, &count), "a tensor's size fits 64 bits");
  }
  return count;
}

Tensor make_tensor(Type type, std::vector<int64_t> shape) {
  const auto count = static_cast<size_t>(element_count(shape));
  Tensor out{std::move(shape), {}};
  if (type == Type::f32)
    out.values = std::vector<float>(count);
  else if (type == Type::f64)
    out.values = std::vector<double>(count);
  else
    out.values = std::vector<int64_t>(count);
  return out;
}

void check_tensor(const Tensor& tensor, const TensorSchema& schema) {
  base::check(tensor.shape.size() + 1 == schema.axes.size(),
              str("an item of ", schema.name, " has ", schema.axes.size(), " axes less one, found ",
                  tensor.shape.size()));
  const size_t held = tensor.values.index();
  const size_t wanted = schema.type == Type::f32 ? 0 : schema.type == Type::f64 ? 1 : 2;
  base::check(held == wanted, str("tensor ", schema.name, " holds ", type_name(schema.type)));
  const auto count = std::visit([](const auto& v) { return v.size(); }, tensor.values);
  base::check(static_cast<int64_t>(count) == element_count(tensor.shape),
              str("the values of an item of ", schema.name, " fill its shape"));
}

Handle write_array(hid_t file, const std::string& path, const std::vector<hsize_t>& dims,
                   const Handle& type, const void* data) {
  const auto links = h5::link_plist();
  h5::create_parents(file, path);
  const auto plist = h5::dataset_plist();
  const auto space = h5::simple_space(dims);
  Handle dataset(H5Dcreate2(file, path.c_str(), type.get(), space.get(), links.get(), plist.get(),
                            H5P_DEFAULT),
                 H5Dclose, path);
  if (data && H5Sget_simple_extent_npoints(space.get()) > 0) {
    must(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, data), path);
  }
  return dataset;
}

TensorWriter::TensorWriter(hid_t file, const TensorSchema& schema, std::vector<int64_t> shape)
    : schema_(schema), shape_(shape.begin(), shape.end()) {
  base::check(shape.size() == schema.axes.size() && !shape.empty(),
              "the shape of " + schema.name + " has one size for each axis");
  const size_t element = tensor_element_bytes(schema.type);
  const auto type = tensor_element_type(schema.type);
  const auto links = h5::link_plist();
  h5::create_parents(file, schema.name);
  const auto plist = h5::dataset_plist();
  const size_t bytes = static_cast<size_t>(element_count(shape)) * element;
  item_bytes_ = shape[0] > 0 ? bytes / shape_[0] : 0;
  if (bytes > kContiguousBytes) h5::compress(plist, shape_, element);
  const auto space = h5::simple_space(shape_);
  dataset_ = {H5Dcreate2(file, schema.name.c_str(), type.get(), space.get(), links.get(),
                         plist.get(), H5P_DEFAULT),
              H5Dclose, "tensor " + schema.name};
  write_attributes(dataset_.get(), schema, shape);
}

void TensorWriter::append(const Tensor& item) {
  check_tensor(item, schema_);
  if (item_bytes_ == 0) return;
  std::vector<char> padded(item_bytes_);
  fill_padding(padded, schema_.type);
  for (size_t i = 0; i < item.shape.size(); ++i) {
    base::check(static_cast<hsize_t>(item.shape[i]) <= shape_[i + 1],
                "an item of " + schema_.name + " fits the padded shape");
  }
  if (element_count(item.shape) > 0) {
    Padder{item.shape, shape_, tensor_element_bytes(schema_.type)}.copy(
        0, static_cast<const char*>(tensor_data(item)), padded.data());
  }
  buffer_.insert(buffer_.end(), padded.begin(), padded.end());
  if (buffer_.size() >= kBufferBytes) flush();
}

void TensorWriter::flush() {
  if (buffer_.empty()) return;
  std::vector<hsize_t> start(shape_.size(), 0), count = shape_;
  start[0] = written_;
  count[0] = buffer_.size() / item_bytes_;
  const std::string what = "tensor " + schema_.name;
  const Handle space(H5Dget_space(dataset_.get()), H5Sclose, what);
  const Handle memory = h5::simple_space(count);
  must(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(),
                           nullptr),
       what);
  const auto type = tensor_element_type(schema_.type);
  must(H5Dwrite(dataset_.get(), type.get(), memory.get(), space.get(), H5P_DEFAULT, buffer_.data()),
       what);
  written_ += count[0];
  buffer_.clear();
}

void TensorWriter::finish() {
  flush();
  base::check(item_bytes_ == 0 || written_ == shape_[0], "all items of " + schema_.name + " came");
  dataset_.close("tensor " + schema_.name);
}

TensorReader::TensorReader(hid_t file, const std::string& path)
    : dataset_(h5::open_dataset(file, path)) {
  schema_.name = path;
  const Handle type(H5Dget_type(dataset_.get()), H5Tclose, path);
  const auto kind = H5Tget_class(type.get());
  if (kind != H5T_INTEGER && kind != H5T_FLOAT) {
    throw base::data_error(path + ": not a tensor; a dataset of integers or floats is expected");
  }
  schema_.type = kind == H5T_INTEGER            ? Type::i64
                 : H5Tget_size(type.get()) <= 4 ? Type::f32
                                                : Type::f64;
  for (const hsize_t size : h5::dims_of(dataset_.get())) {
    shape_.push_back(static_cast<int64_t>(size));
  }
  const auto text = [&](const char* name) {
    const auto value = h5::attribute(dataset_.get(), name);
    return value.is_string() ? base::unescape_text(value.get<std::string>()) : std::string();
  };
  schema_.unit = text("unit");
  schema_.description = text("description");
  const auto axes = h5::attribute(dataset_.get(), "axes");
  for (size_t i = 0; i < shape_.size(); ++i) {
    const bool named = axes.is_array() && axes.size() == shape_.size() && axes[i].is_string();
    schema_.axes.push_back(named ? axes[i].get<std::string>() : str("axis ", i));
  }
}

Tensor TensorReader::read(int64_t item, const std::vector<int64_t>& sizes) const {
  if (shape_.empty() || item < 0 || item >= shape_[0]) {
    throw base::data_error(str(schema_.name, "[", item, "]: no such item; there are ",
                               shape_.empty() ? 0 : shape_[0]));
  }
  std::vector<int64_t> item_shape(shape_.begin() + 1, shape_.end());
  if (!sizes.empty()) item_shape = sizes;
  Tensor out = make_tensor(schema_.type, item_shape);
  if (element_count(item_shape) == 0) return out;
  std::vector<hsize_t> start(shape_.size(), 0), count(item_shape.begin(), item_shape.end());
  start[0] = static_cast<hsize_t>(item);
  count.insert(count.begin(), 1);
  const Handle space(H5Dget_space(dataset_.get()), H5Sclose, schema_.name);
  const Handle memory = h5::simple_space(count);
  must(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(),
                           nullptr),
       schema_.name);
  const auto type = tensor_element_type(schema_.type);
  must(
      H5Dread(dataset_.get(), type.get(), memory.get(), space.get(), H5P_DEFAULT, tensor_data(out)),
      schema_.name);
  return out;
}

std::vector<int64_t> read_integers(hid_t file, const std::string& path) {
  const auto dataset = h5::open_dataset(file, path);
  size_t count = 1;
  for (const hsize_t size : h5::dims_of(dataset.get())) count *= size;
  std::vector<int64_t> out(count);
  if (count == 0) return out;
  const auto type = tensor_element_type(Type::i64);
  must(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()), path);
  return out;
}

}  // namespace preimage::store
