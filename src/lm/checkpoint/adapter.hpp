// A LoRA adapter in the layout of the PEFT library (Hu et al. 2021), merged into the weights that
// it changes while they are loaded.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/adapter_config.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"
#include "preimage/lm/model.hpp"

namespace preimage::lm {

class Adapter {
 public:
  // Reads adapter_config.json and the header of adapter_model.safetensors. A tensor that names no
  // matrix of `model`, or has another shape, is refused; one of a module that the config leaves out
  // is left out, as PEFT does.
  Adapter(const std::filesystem::path& folder, const ModelConfig& model);

  bool changes(const std::string& name) const { return changes_.contains(name); }
  // Whether one matrix serves as embedding and head, and the adapter changes one of them alone.
  bool splits_tied() const;
  // W + scale * B A, the product and the sum in float32, rounded once to the dtype of W; W being
  // the model's, or what the adapter holds in its place, or what PEFT's initialisation leaves of
  // it. W [out, in] as the model stores it.
  at::Tensor merged(const std::string& name, at::Tensor weight) const;
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Change {
    std::string whole;  // tensor names of the file; "" for none
    std::string a, b;
    double scale = 0;
    int64_t rank = 0;
    bool transposed = false;  // of an embedding: B A is [out, in]
    BaseChange base;
    bool operator==(const Change& other) const;
  };
  void take(const TensorInfo& tensor);
  void add_low_rank(const TensorInfo& a, const std::string& module, bool embedding);
  void add_whole(const TensorInfo& tensor, std::string name);
  void settle_tied();
  // The model's name of what `tensor` of the file is about.
  std::string target(const std::string& tensor, const std::string& name) const;
  void require_partner(const TensorInfo& b, const std::string& first) const;
  at::Tensor read(const std::string& tensor, at::Device device) const;

  SafetensorsFile file_;
  AdapterConfig config_;
  bool tied_;
  std::map<std::string, std::vector<int64_t>> shapes_;  // of the model's tensors
  std::map<std::string, Change> changes_;               // by the model's tensor name
  std::vector<std::string> left_out_;                   // modules
  std::vector<std::string> notes_;
};

}  // namespace preimage::lm
