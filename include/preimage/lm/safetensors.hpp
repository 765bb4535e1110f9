// safetensors files: reading with every rule of the format checked before data is touched, and writing.
// Format: https://github.com/huggingface/safetensors (the rules are those of its tensor.rs, plus duplicate
// keys). Errors are ExitCode::bad_data and name the file, the tensor and both numbers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace preimage::lm {

struct TensorInfo {
  std::string name;
  std::string dtype;            // as in the file: "BF16", "F32", "U8", ...
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes, from the start of the file
};

// One file, opened and validated; data is read with pread when asked for.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::vector<TensorInfo>& tensors() const;  // in file order
  const std::map<std::string, std::string>& metadata() const;
  const TensorInfo* find(const std::string& name) const;
  // On the CPU in the stored dtype (F8_E8M0 and packed types as uint8). A file that became shorter since
  // it was opened is a bad_data error.
  at::Tensor read(const TensorInfo& info) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

// Writes to a temporary name, fsyncs, renames. Tensors must be on the CPU and contiguous.
void write_safetensors(const std::filesystem::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace preimage::lm
