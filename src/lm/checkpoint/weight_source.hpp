// Where the weights of a model come from: a checkpoint in one of the stored forms, or a trainer's
// parameters. Names are the published ones; shapes are those of plain weights.
#pragma once

#include <string>
#include <vector>

#include "preimage/lm/model.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::lm {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // In the model's dtype and on its device: embeddings, norms, biases.
  virtual at::Tensor tensor(const std::string& name, at::IntArrayRef shape) const = 0;
  // The same in float32, whatever the model's dtype.
  virtual at::Tensor wide_tensor(const std::string& name, at::IntArrayRef shape) const = 0;
  // The matrix [out, in] of a linear layer, perhaps narrow.
  virtual nn::Weight matrix(const std::string& name, int64_t out, int64_t in) const = 0;
  // The matrices of all experts, which are stored as one tensor [experts, in, out] (gpt-oss): each
  // [out, in], its rows in the order that `rows` gives (undefined: as stored).
  virtual std::vector<nn::Weight> expert_matrices(const std::string& name, at::IntArrayRef shape,
                                                  const at::Tensor& rows) const = 0;
};

// Plain tensors by name: what a trainer gives.
class TensorWeights : public WeightSource {
 public:
  explicit TensorWeights(const TensorSource& source) : source_(source) {}
  at::Tensor tensor(const std::string& name, at::IntArrayRef shape) const override;
  at::Tensor wide_tensor(const std::string& name, at::IntArrayRef shape) const override;
  nn::Weight matrix(const std::string& name, int64_t out, int64_t in) const override;
  std::vector<nn::Weight> expert_matrices(const std::string& name, at::IntArrayRef shape,
                                          const at::Tensor& rows) const override;

 private:
  const TensorSource& source_;
};

// Each [in, out] of `all` [experts, in, out] as [out, in], rows chosen.
std::vector<at::Tensor> transposed_experts(const at::Tensor& all, const at::Tensor& rows);

}  // namespace preimage::lm
