// The tensors of a published checkpoint folder, over one file or many.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"

namespace preimage::lm {

// All tensors of the folder: model.safetensors, or the shards of its index. Opening checks every
// header, the index against the shards, and names pickles, GGUF files and large-file stubs for what
// they are. Links are followed, since hub caches are made of them; an index names only plain files
// of the folder.
class Checkpoint {
 public:
  explicit Checkpoint(const std::filesystem::path& folder);
  const std::filesystem::path& folder() const { return folder_; }
  const std::vector<SafetensorsFile>& files() const { return files_; }
  // What is odd but no error (a wrong total_size): one line each, for the log.
  const std::vector<std::string>& notes() const { return notes_; }
  std::vector<TensorInfo> tensors() const;
  bool has(const std::string& name) const;
  // The tensor in `dtype` on `device`; checks `shape`. Only F16, BF16, F32 and F64 become
  // floating-point weights (integers and F8 need the scales of a quantization); others load in
  // their own dtype alone. NaN or Inf inside, or a value beyond the range of `dtype`, is an error
  // that names the tensor, the count and the first index.
  at::Tensor load(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype,
                  at::Device device) const;
  // Throws unless the folder holds exactly `expected` (name and shape) and perhaps some of
  // `permitted`: first ten of the missing, the extra and the mis-shaped, and the totals.
  void require(const std::vector<std::pair<std::string, std::vector<int64_t>>>& expected,
               const std::vector<std::string>& permitted) const;

 private:
  std::filesystem::path folder_;
  std::vector<SafetensorsFile> files_;
  std::vector<std::string> notes_;
};

}  // namespace preimage::lm
