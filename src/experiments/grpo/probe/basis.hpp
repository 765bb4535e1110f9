// The knobs that are measured and moved: a frozen model with an adapter on it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "config.hpp"
#include "measure/module_span.hpp"
#include "preimage/lm/adapter/live_adapter.hpp"
#include "preimage/lm/adapter/sample_gradients.hpp"

namespace preimage::grpo {

// Prompt and completion as one sequence.
struct Sequence {
  std::vector<int64_t> prompt, completion;
};

class Basis {
 public:
  // "svd": s of W = U diag(S) Vh, factors kept in `cache` by the hash of each matrix; "lora": B of
  // B A, with A random by (seed, module) and not trained. All knobs start at zero.
  Basis(std::shared_ptr<const lm::Model> model, const std::string& kind, const ProbeConfig& config,
        uint64_t seed, const std::filesystem::path& cache);
  Basis(std::shared_ptr<const lm::Model> model, lm::LiveAdapter adapter, int64_t batch_tokens);

  const std::string& kind() const { return kind_; }
  int64_t knobs() const { return adapter_.knobs(); }
  const std::vector<ModuleSpan>& spans() const { return spans_; }
  // Float32 on the model's device, and what of it decays.
  at::Tensor& values() { return adapter_.parameters.flat; }
  const at::Tensor& decay_mask() const { return adapter_.parameters.decay_mask; }
  void reset();  // all knobs to zero
  // A of each LoRA module [rank, in] in the order of the spans; none of the singular-value basis.
  std::vector<at::Tensor> constants() const;

  struct Gradients {
    Rows rows;                // of each sequence's mean NLL over its completion
    std::vector<double> nll;  // nats, means
  };
  // At the present values; a row's bits depend on its sequence alone.
  Gradients gradients(const std::vector<Sequence>& sequences) const;

 private:
  std::string kind_;
  int64_t batch_tokens_;
  std::shared_ptr<const lm::Model> model_;
  lm::LiveAdapter adapter_;
  std::vector<ModuleSpan> spans_;
};

}  // namespace preimage::grpo
