// safetensors files: reading with every rule of the format checked before data is touched, and
// writing. Format: https://github.com/huggingface/safetensors (the rules are those of its
// tensor.rs, plus duplicate keys). Errors are ExitCode::bad_data and name the file, the tensor and
// both numbers.
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

#include "preimage/base/safetensors_header.hpp"

namespace preimage::lm {

using TensorInfo = base::SafetensorsTensor;

// One file, opened and validated; data is read with pread when asked for.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::filesystem::path& path() const;
  uint64_t size() const;                           // bytes of the file
  const std::vector<TensorInfo>& tensors() const;  // in file order
  const std::map<std::string, std::string>& metadata() const;
  const TensorInfo* find(const std::string& name) const;
  // In the stored dtype; F8_E8M0 as uint8, F4 and F6 as the flat uint8 bytes they are
  // packed in. `info` must come from this file. A file that became shorter since it was opened is a
  // bad_data error. To a GPU in pieces through pinned memory, each read by all threads while the
  // last one travels; the tensor is complete on the current stream.
  at::Tensor read(const TensorInfo& info, at::Device device = at::kCPU) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

// Writes to a temporary name (path + ".tmp"), fsyncs, renames; the bytes are those that the
// reference writer makes. Tensors must be on the CPU and contiguous, with different names.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace preimage::lm
