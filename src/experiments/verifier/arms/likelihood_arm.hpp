// The generator's own probability of a program as its energy, whose top layers are trained.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "arms/arms.hpp"
#include "preimage/nn/prefixed_attention.hpp"

namespace preimage::verifier {

// What the frozen layers make of a program: computed once, whatever is trained above them.
struct ProgramState {
  // The tokens before the last one of the prompt; shared by the programs behind one prompt.
  std::shared_ptr<const nn::AttentionPrefix> prompt;
  at::Tensor
      below;  // [targets, d]: the rows that predict the program, before the first tuned layer
};

struct LikelihoodArmOptions {
  int64_t tuned_layers = 2;  // from the top, with the final norm; 0: scale and offset alone
  bool bounded = false;
  double scale = 0.3, offset = 0;  // at the start
};

// energy = scale * (-log p(program | prompt)) + offset, through a sigmoid where it is bounded. The
// ranking starts as that of the generator's log-probability. The prompt is read by the frozen
// generator: tuned layers see its keys and values as it made them, and only the program's rows are
// computed again.
class LikelihoodArm : public Arm {
 public:
  LikelihoodArm(std::shared_ptr<const StoredModel> stored, const LikelihoodArmOptions& options);
  std::string name() const override { return "likelihood"; }
  lm::TensorList trained() const override { return trained_; }
  lm::Parameters initial(uint64_t seed, at::Device device) const override;
  std::unique_ptr<EnergyModel> build(const TensorMap& values) const override;
  double prepare(const std::vector<EncodedProgram*>& programs, double bytes) const override;

 private:
  std::shared_ptr<const StoredModel> stored_;
  LikelihoodArmOptions options_;
  lm::TensorList trained_;
  std::shared_ptr<const lm::Model> frozen_;
};

}  // namespace preimage::verifier
