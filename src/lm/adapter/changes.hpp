// An adapter as the changes of a decoder's projections.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "preimage/lm/adapter/live_adapter.hpp"
#include "preimage/nn/low_rank.hpp"

namespace preimage::lm {

// By module. The parameters themselves, or the leaves made of them.
std::map<std::string, nn::LowRank> changes_of(const LiveAdapter& adapter, const Leaves* leaves);

// `samples`: where the rows of each sample begin, as nn::adapted_linear wants it.
std::shared_ptr<const Model> changed_model(const Model& base,
                                           const std::map<std::string, nn::LowRank>& changes,
                                           const std::vector<int64_t>& samples = {});

// The frozen matrix [out, in] of a module of a decoder, in float32.
at::Tensor module_matrix(const Model& base, const std::string& module);

// The modules with their sizes, none of them with a place in a flat vector yet.
std::vector<AdapterModule> module_sizes(const ModelConfig& config);

// Places the modules in the flat vector and makes the parameters, all zero, on the device.
void lay_out(LiveAdapter& adapter, at::Device device);

inline std::string a_name(const AdapterModule& module) {
  return module.name + ".lora_A.weight";
}
inline std::string b_name(const AdapterModule& module) {
  return module.name + ".lora_B.weight";
}
inline std::string s_name(const AdapterModule& module) {
  return module.name + ".svd_s";
}

}  // namespace preimage::lm
