// The kinds of verifier: an OuroborosModel trained from scratch, and the generator's own hidden
// states with an energy head; likelihood_arm.hpp has the third.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "arms/encoding.hpp"
#include "arms/energy_model.hpp"
#include "arms/ouroboros.hpp"
#include "preimage/base/config.hpp"
#include "preimage/lm/checkpoint/checkpoint.hpp"
#include "preimage/lm/checkpoint/model_config.hpp"
#include "preimage/lm/train/data_parallel.hpp"

namespace preimage::verifier {

using TensorMap = std::map<std::string, at::Tensor>;

// What is trained of an arm, how it starts, and the model over a set of its values.
class Arm {
 public:
  virtual ~Arm() = default;
  virtual std::string name() const = 0;
  virtual lm::TensorList trained() const = 0;
  virtual lm::Parameters initial(uint64_t seed, at::Device device) const = 0;
  // `values` holds every trained tensor by name, in one dtype: leaves of a step, or what was
  // learned.
  virtual std::unique_ptr<EnergyModel> build(const TensorMap& values) const = 0;
  // Computes what never changes of the programs and keeps it with them, until `bytes` are used;
  // energies are the same with and without it. Returns the bytes.
  virtual double prepare(const std::vector<EncodedProgram*>& programs, double bytes) const;
};

// The tensors of a checkpoint's top layers and, if there is one, of the final norm.
lm::TensorList top_tensors(const lm::ModelConfig& config, int64_t layers);

// A checkpoint as tensors: what the arms that go on from a model stand on, several of them and all
// combinations of a sweep on one.
struct StoredModel {
  lm::ModelConfig config;
  TensorMap tensors;  // all of the checkpoint
};
// In `load.dtype`, on `load.device`.
std::shared_ptr<const StoredModel> load_stored(const std::filesystem::path& folder,
                                               const lm::LoadOptions& load);

class OuroborosArm : public Arm {
 public:
  explicit OuroborosArm(const OuroborosConfig& config) : config_(config) {}
  std::string name() const override { return "ouroboros"; }
  lm::TensorList trained() const override { return ouroboros_tensors(config_); }
  lm::Parameters initial(uint64_t seed, at::Device device) const override {
    return initial_ouroboros(config_, seed, device);
  }
  std::unique_ptr<EnergyModel> build(const TensorMap& values) const override;

 private:
  OuroborosConfig config_;
};

struct GeneratorArmOptions {
  int64_t tuned_layers = 2;  // from the top, with the final norm; 0: the head alone
  bool bounded = true;
};

// The checkpoint's layers below stay as they are; those above and the head are trained.
class GeneratorArm : public Arm {
 public:
  GeneratorArm(std::shared_ptr<const StoredModel> stored, const GeneratorArmOptions& options);
  std::string name() const override { return "generator"; }
  lm::TensorList trained() const override { return trained_; }
  lm::Parameters initial(uint64_t seed, at::Device device) const override;
  std::unique_ptr<EnergyModel> build(const TensorMap& values) const override;

 private:
  std::shared_ptr<const StoredModel> stored_;  // the start of what is trained too
  GeneratorArmOptions options_;
  lm::TensorList trained_;
};

}  // namespace preimage::verifier
