// Looking into HDF5 files, ours and others': what is there, tables as rows, tensors as numbers, and
// several results files put into one.
//
// A file is foreign until shown otherwise: before anything is read, external links, external
// storage, virtual datasets, filters other than deflate, shuffle and fletcher32, and sizes that the
// file cannot hold are refused (ExitCode::bad_data). No filter plugin is ever loaded. The library
// itself crashes and hangs on damaged files: all of it happens in a process of its own
// (preimage-hdf5) with bounded memory and time, whose end is an ExitCode::bad_data, too.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/store/schema.hpp"

namespace preimage::store {

struct TableInfo {
  std::string name;  // "dcm/pairs"
  int64_t rows = 0;
  TableSchema schema;  // version 1 where the file says none
  base::Json attributes;
};

struct TensorInfo {
  std::string name;
  std::vector<int64_t> shape;
  TensorSchema schema;
  base::Json attributes;
};

struct FileInfo {
  std::string format;     // "preimage results 1", "preimage segment 1", or "" for other files
  base::Json attributes;  // of the file
  base::Json config;      // of a results file; else null
  base::Json provenance;
  std::vector<TableInfo> tables;
  std::vector<TensorInfo> tensors;
  std::vector<std::string> others;  // datasets that are neither
};

struct ReadLimits {
  double silence_s = 30;               // without any part of an answer
  uint64_t memory_bytes = 2ull << 30;  // address space of the process that reads
};

FileInfo inspect_file(const std::filesystem::path& path, const ReadLimits& limits = {});

// Calls `row` for each row of a table, in batches read one after the other.
void read_table(const std::filesystem::path& path, const std::string& table,
                const std::function<void(const Row&)>& row, const ReadLimits& limits = {});

// Calls `item` for each item of a tensor, padded as it is stored.
void read_items(const std::filesystem::path& path, const std::string& dataset,
                const std::function<void(const Tensor&)>& item, const ReadLimits& limits = {});

// "prompts.h5:dcm/soft_prompts[3]"; without "[3]" item is -1 and means the whole dataset.
struct TensorReference {
  std::filesystem::path file;
  std::string dataset;
  int64_t item = -1;
};
// ExitCode::bad_data on text of another form.
TensorReference parse_tensor_reference(const std::string& text);

// The numbers as float; the sizes without the item axis when one item is asked for. Padding is cut
// off where the file has an /index (as results files do).
struct TensorValues {
  std::vector<int64_t> shape;
  std::vector<float> values;
};
TensorValues read_tensor(const TensorReference& reference, const ReadLimits& limits = {});

// Concatenates results files: every table gets a first column `run` (the name of the folder of a
// results.h5, else of the file), tensors are padded to one size, /index counts units on. Refuses a
// mix of schema versions or of columns (ExitCode::bad_data, naming both files and the table).
void merge_results(const std::vector<std::filesystem::path>& paths,
                   const std::filesystem::path& out);

}  // namespace preimage::store
