// The weights of a checkpoint folder as a model asks for them: decoded, kept as they are stored, or
// quantized on load; with an adapter's change merged in. One tensor is in memory twice at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/adapter.hpp"
#include "checkpoint/tensor_names.hpp"
#include "checkpoint/weight_source.hpp"
#include "preimage/lm/checkpoint/checkpoint.hpp"
#include "preimage/lm/model.hpp"

namespace preimage::lm {

class CheckpointWeights : public WeightSource {
 public:
  // All of them outlive this. `adapter` may be null.
  CheckpointWeights(const TensorNames& names, const ModelConfig& config, const LoadOptions& options,
                    const Adapter* adapter)
      : names_(names),
        checkpoint_(names.checkpoint()),
        config_(config),
        options_(options),
        adapter_(adapter) {}

  // Throws unless the folder holds exactly the tensors of the family, plain or narrow, and perhaps
  // the few that are permitted and ignored.
  void require_all() const;

  at::Tensor tensor(const std::string& name, at::IntArrayRef shape) const override;
  at::Tensor wide_tensor(const std::string& name, at::IntArrayRef shape) const override;
  nn::Weight matrix(const std::string& name, int64_t out, int64_t in) const override;
  std::vector<nn::Weight> expert_matrices(const std::string& name, at::IntArrayRef shape,
                                          const at::Tensor& rows) const override;

 private:
  std::string stored_name(const std::string& name) const;
  at::Tensor load(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) const;
  const TensorInfo* find(const std::string& name) const;
  std::string place(const std::string& name) const;

  bool is_fp8(const std::string& name) const;
  bool is_int4(const std::string& name) const;
  bool is_mxfp4(const std::string& name) const;
  nn::NarrowMatrix fp8(const std::string& name, int64_t out, int64_t in) const;
  nn::NarrowMatrix int4(const std::string& name, int64_t out, int64_t in) const;
  std::vector<nn::NarrowMatrix> mxfp4(const std::string& name, at::IntArrayRef shape,
                                      const at::Tensor& rows) const;
  void add_stored(const std::string& name, const std::vector<int64_t>& shape,
                  TensorList& list) const;

  nn::Weight finished(nn::NarrowMatrix narrow, const std::string& name) const;
  nn::Weight finished(at::Tensor dense, const std::string& name) const;

  const TensorNames& names_;
  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const LoadOptions& options_;
  const Adapter* adapter_;
};

}  // namespace preimage::lm
