// Where a checkpoint stores the tensors of an encoder, and what may lie beside them.
#pragma once

#include <string>
#include <vector>

#include "preimage/lm/checkpoint/checkpoint.hpp"
#include "preimage/lm/model.hpp"

namespace preimage::lm {

class EncoderNames {
 public:
  // `prefix` ("bert.") stands before the names where the file is that of a model with a head;
  // `checkpoint` must outlive this.
  EncoderNames(const Checkpoint& checkpoint, std::string prefix)
      : checkpoint_(checkpoint), prefix_(std::move(prefix)) {}

  // With the prefix or without, LayerNorm.weight and .bias also as LayerNorm.gamma and .beta.
  std::string stored(const std::string& name) const;
  // Throws unless all of `expected` are there. Beside them may lie tensors of heads, which are not
  // used, but none that looks like a part of the encoder (that begins with one of `parts`). Tensors
  // that no known head has are named in a note.
  std::vector<std::string> require(const TensorList& expected,
                                   const std::vector<std::string>& parts) const;
  TensorSource source(const LoadOptions& options) const;

 private:
  const Checkpoint& checkpoint_;
  std::string prefix_;
};

}  // namespace preimage::lm
