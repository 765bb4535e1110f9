// Reading an HDF5 file of others in this process: what preimage-hdf5 does for everybody else.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "preimage/store/inspect.hpp"

namespace preimage::store {

FileInfo inspect_here(const std::filesystem::path& path);

// Batches of rows, the first one empty.
using RowsTaker = std::function<void(const TableSchema&, const std::vector<Row>&)>;
void read_table_here(const std::filesystem::path& path, const std::string& table,
                     const RowsTaker& take);

// One item, cut to its true sizes where the file has an index, or all.
struct TensorInHand {
  Type type = Type::f32;
  std::vector<int64_t> shape;
  std::vector<Tensor> items;
};
TensorInHand read_tensor_here(const TensorReference& reference);

// Every item of a tensor, padded as it is stored.
void read_items_here(const std::filesystem::path& path, const std::string& dataset,
                     const std::function<void(const Tensor&)>& take);

}  // namespace preimage::store
