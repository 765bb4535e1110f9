// A published checkpoint folder: config.json made into sizes, and its tensors over one file or
// many.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/lm/safetensors.hpp"

namespace preimage::lm {

struct RopeConfig {
  std::string type = "default";  // default | linear | llama3 | yarn
  double theta = 10000;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;             // llama3
  double beta_fast = 32, beta_slow = 1;                         // yarn
  double attention_factor = 0, mscale = 0, mscale_all_dim = 0;  // yarn; 0: not given
  bool truncate = true;                                         // yarn
  int64_t original_max_position_embeddings = 0;
};

// Sizes of a decoder of the common block (pre-norm, grouped-query attention, gated MLP); other
// families add their own.
struct ModelConfig {
  std::string family;  // "qwen2"
  int64_t hidden_size = 0, intermediate_size = 0, layers = 0;
  int64_t query_heads = 0, kv_heads = 0, head_dim = 0;
  int64_t vocab_size = 0, max_position_embeddings = 0;
  double rms_norm_eps = 0;
  bool tied_embeddings = false;
  bool qkv_bias = false;
  RopeConfig rope;
  std::vector<int64_t> eos_ids;  // generation_config.json wins over config.json
  int64_t bos_id = -1, pad_id = -1;
  std::string stored_dtype;    // "bfloat16", "float32": as config.json says; the tensors decide
  int64_t parameters() const;  // tied matrices counted once
};

// Reads config.json (and generation_config.json where present). Every wrong or absurd value is one
// line that names the key and the rule; all of them at once (ExitCode::bad_data). auto_map and
// other keys that ask for code of the checkpoint are ignored: nothing of a checkpoint is ever
// executed.
ModelConfig read_model_config(const std::filesystem::path& folder);

// inv_freq [head_dim / 2] of the rotary embedding and the factor on cos and sin. Sources: Su et al.
// 2021 (RoFormer); linear: Chen et al. 2023; llama3: the Llama 3.1 release; yarn: Peng et al. 2023.
// Float32 operations in the order of transformers' modeling_rope_utils.
struct RopeFrequencies {
  std::vector<float> inv_freq;
  double attention_scaling = 1;
};
RopeFrequencies rope_frequencies(const RopeConfig& rope, int64_t head_dim);

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

// Hashes that make up a model's identity: config.json, generation_config.json and tokenizer.json
// whole (null when absent), each safetensors file by header, size and 16 evenly spaced blocks of 64
// KiB (a 15 GB file is not read whole).
base::Json checkpoint_identity(const std::filesystem::path& folder);

}  // namespace preimage::lm
