#include "t5/checkpoint.hpp"

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "t5/stack.hpp"

namespace preimage::lm {
namespace {

const std::vector<std::string>& embedding_names() {
  static const std::vector<std::string> names = {"shared.weight", "encoder.embed_tokens.weight",
                                                 "decoder.embed_tokens.weight"};
  return names;
}

constexpr const char* kHead = "lm_head.weight";

// Stored by old exports, never used: cross attention has no positions.
constexpr const char* kUnusedBias =
    "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

}  // namespace

T5Checkpoint::T5Checkpoint(const Checkpoint& checkpoint, T5Config& config,
                           const std::string& prefix)
    : checkpoint_(checkpoint), prefix_(prefix), shape_{config.vocab_size, config.hidden_size} {
  for (const auto& name : embedding_names()) {
    if (!checkpoint.has(prefix + name)) continue;
    if (embedding_.empty()) {
      embedding_ = name;
    } else if (!same_matrix(embedding_, name)) {
      throw base::data_error(checkpoint.folder().string() + ": " + prefix + name +
                             " differs from " + prefix + embedding_ +
                             ", but T5 has one embedding for both stacks");
    }
  }
  // A tied file may keep its one matrix under the name of the head.
  if (embedding_.empty()) embedding_ = checkpoint.has(prefix + kHead) ? kHead : "shared.weight";
  const bool stored = embedding_ != kHead && checkpoint.has(prefix + kHead);
  config.own_head = stored ? !same_matrix(embedding_, kHead) : config.own_head;
}

bool T5Checkpoint::same_matrix(const std::string& a, const std::string& b) const {
  const auto load = [&](const std::string& name) {
    return checkpoint_.load(prefix_ + name, shape_, at::kFloat, at::kCPU);
  };
  return at::equal(load(a), load(b));
}

TensorList T5Checkpoint::expected(const T5Config& config, T5Part part) const {
  TensorList list = {{embedding_, shape_}};
  const auto append = [&](const std::string& stack) {
    for (auto& entry : t5_stack_tensors(config, stack)) list.push_back(std::move(entry));
  };
  append("encoder.");
  if (part == T5Part::whole) {
    append("decoder.");
    if (config.own_head) list.emplace_back(kHead, shape_);
  }
  for (auto& [name, shape] : list) name = prefix_ + name;
  return list;
}

std::vector<std::string> T5Checkpoint::permitted(T5Part part) const {
  std::vector<std::string> names = {prefix_ + kUnusedBias, prefix_ + kHead};
  for (const auto& name : embedding_names()) names.push_back(prefix_ + name);
  if (part == T5Part::whole) return names;
  for (const auto& tensor : checkpoint_.tensors()) {
    if (tensor.name.starts_with(prefix_ + "decoder.")) names.push_back(tensor.name);
  }
  return names;
}

TensorSource T5Checkpoint::source(const LoadOptions& options) const {
  const auto& checkpoint = checkpoint_;
  return [&checkpoint, options, asked = prefix_ + "shared.weight", stored = prefix_ + embedding_](
             const std::string& name, at::IntArrayRef shape) {
    return checkpoint.load(name == asked ? stored : name, shape, options.dtype, options.device);
  };
}

}  // namespace preimage::lm
