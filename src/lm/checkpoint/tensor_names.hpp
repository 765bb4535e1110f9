// Under which name a checkpoint stores a tensor of a decoder, and whether the embedding is the
// head: what transformers settles while it loads.
#pragma once

#include <string>
#include <vector>

#include "preimage/lm/checkpoint/checkpoint.hpp"
#include "preimage/lm/checkpoint/model_config.hpp"

namespace preimage::lm {

inline constexpr const char* kEmbedding = "model.embed_tokens.weight";
inline constexpr const char* kHead = "lm_head.weight";

class TensorNames {
 public:
  // `config` is changed where the file knows better: a head of its own unties it (and leaves a
  // note), unless no head is wanted. Both must outlive this.
  TensorNames(const Checkpoint& checkpoint, ModelConfig& config, bool head = true);

  const Checkpoint& checkpoint() const { return checkpoint_; }
  // The published name of a tensor, with "_packed", "_blocks" and the like, as the file has it: a
  // model saved without its head has no "model." in front; a tied model may have its one matrix
  // under either name; gpt-oss's own code has other names.
  std::string stored(const std::string& name) const;
  // From now on the head is a matrix of its own, made of the embedding's (an adapter changes one of
  // them alone).
  void split(ModelConfig& config);

 private:
  std::string plain(const std::string& name) const;

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  std::string embedding_ = kEmbedding, head_ = kHead;  // whose matrices these are
};

// The tensors of `names` that are no part of the model and are passed over: frequencies of the
// rotary embedding in old exports, a tied head, DeepSeek's layers for further tokens.
bool is_passed_over(const ModelConfig& config, const std::string& stored_name);

}  // namespace preimage::lm
