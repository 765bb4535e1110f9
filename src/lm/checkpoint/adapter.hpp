// A LoRA adapter in the layout of the PEFT library (Hu et al. 2021), merged into the weights that
// it changes while they are loaded.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"
#include "preimage/lm/model.hpp"

namespace preimage::lm {

class Adapter {
 public:
  // Reads adapter_config.json and the header of adapter_model.safetensors. Every key that changes
  // the mathematics and is not implemented is refused, and so is every tensor that names no matrix
  // of `targets` (the model's tensors) or has another shape.
  Adapter(const std::filesystem::path& folder, const TensorList& targets);

  bool changes(const std::string& name) const;
  // W + scale * B A, the product and the sum in float32, rounded once to the dtype of W; or the
  // tensor that the adapter holds in its place. W [out, in] as the model stores it.
  at::Tensor merged(const std::string& name, at::Tensor weight) const;

 private:
  struct Change {
    std::string a, b;  // tensor names of the file; of a whole tensor `a` alone
    double scale = 0;
    bool transposed = false;  // of an embedding: B A is [out, in]
  };
  // The shape of the model's tensor `name`, which `tensor` of the file is about.
  std::vector<int64_t> target(const std::string& tensor, const std::string& name) const;
  void add_low_rank(const TensorInfo& a, const std::string& module, bool embedding,
                    const base::JsonNode& config);
  at::Tensor read(const std::string& tensor, at::Device device) const;

  SafetensorsFile file_;
  std::map<std::string, std::vector<int64_t>> shapes_;  // of the model's tensors
  std::map<std::string, Change> changes_;               // by the model's tensor name
};

}  // namespace preimage::lm
