// Where the tensors of a T5 lie in a checkpoint: the embedding under any of its names, the head
// only where it is a matrix of its own.
#pragma once

#include <string>
#include <vector>

#include "preimage/lm/checkpoint/checkpoint.hpp"
#include "preimage/lm/t5/t5.hpp"

namespace preimage::lm {

// Which of a T5's stacks a folder is loaded for.
enum class T5Part { encoder, whole };

class T5Checkpoint {
 public:
  // `prefix` stands before every name. Finds the embedding and settles config.own_head. The
  // checkpoint must outlive it.
  T5Checkpoint(const Checkpoint& checkpoint, T5Config& config, const std::string& prefix);

  // What must be there, and what may be there beside it.
  TensorList expected(const T5Config& config, T5Part part) const;
  std::vector<std::string> permitted(T5Part part) const;
  TensorSource source(const LoadOptions& options) const;

 private:
  bool same_matrix(const std::string& a, const std::string& b) const;

  const Checkpoint& checkpoint_;
  std::string prefix_, embedding_;
  std::vector<int64_t> shape_;  // of the embedding
};

}  // namespace preimage::lm
