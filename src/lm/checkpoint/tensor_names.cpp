#include "checkpoint/tensor_names.hpp"

#include <ATen/ATen.h>

#include "families/families.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::str;

constexpr std::string_view kPrefix = "model.";

}  // namespace

TensorNames::TensorNames(const Checkpoint& checkpoint, ModelConfig& config, bool head)
    : checkpoint_(checkpoint), config_(config) {
  const bool tied = config.tied_embeddings && !config.original_names;
  if (!head) config.tied_embeddings = true;
  if (!tied) return;
  const bool has_embedding = checkpoint.has(plain(kEmbedding)), has_head = checkpoint.has(kHead);
  if (!has_embedding && has_head) embedding_ = kHead;
  if (!has_embedding || !has_head || !head) return;
  const std::vector<int64_t> shape = {config.vocab_size, config.hidden_size};
  const auto load = [&](const char* name) {
    return checkpoint.load(plain(name), shape, at::kFloat, at::kCPU);
  };
  if (at::equal(load(kHead), load(kEmbedding))) return;
  config.tied_embeddings = false;
  config.notes.push_back(
      str(checkpoint.folder().string(), ": config.json says tie_word_embeddings, but ", kHead,
          " differs from ", plain(kEmbedding), "; the head is used as it is stored"));
}

std::string TensorNames::plain(const std::string& name) const {
  if (checkpoint_.has(name) || !name.starts_with(kPrefix)) return name;
  auto without = name.substr(kPrefix.size());
  return checkpoint_.has(without) ? without : name;
}

std::string TensorNames::stored(const std::string& name) const {
  if (config_.original_names) return original_gpt_oss_place(config_, name).name;
  if (name == kEmbedding) return plain(embedding_);
  return plain(name == kHead ? head_ : name);
}

void TensorNames::split(ModelConfig& config) {
  if (!config.tied_embeddings) return;
  config.tied_embeddings = false;
  head_ = embedding_;
}

bool is_passed_over(const ModelConfig& config, const std::string& stored_name) {
  const std::string name =
      stored_name.starts_with(kPrefix) ? stored_name : str(kPrefix, stored_name);
  if (name.ends_with("rotary_emb.inv_freq")) return true;
  if (config.tied_embeddings && stored_name == kHead) return true;
  for (int64_t i = 0; i < config.extra_layers; ++i) {
    if (name.starts_with(str("model.layers.", config.layers + i, "."))) return true;
  }
  return false;
}

}  // namespace preimage::lm
