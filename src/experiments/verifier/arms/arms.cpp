#include "arms/arms.hpp"

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::verifier {
namespace {

lm::TensorSource source_of(const TensorMap& values) {
  return [&values](const std::string& name, at::IntArrayRef) { return values.at(name); };
}

class GeneratorModel : public EnergyModel {
 public:
  GeneratorModel(std::shared_ptr<const lm::Model> model, bool bounded, const TensorMap& values)
      : model_(std::move(model)), head_(model_->config().hidden_size, bounded, source_of(values)) {}

  at::Tensor energies(const Sequences& sequences, const DropoutSource&) const override {
    const auto device = model_->device();
    const auto ids = at::tensor(sequences.ids, at::kLong).to(device);
    const nn::PackedAttention context(nn::make_packing(sequences.lengths, device));
    return head_(model_->hidden(model_->embed(ids), context), sequences);
  }

 private:
  std::shared_ptr<const lm::Model> model_;
  EnergyHead head_;
};

// "model.layers.12.mlp.up_proj.weight" -> 12; -1 for tensors outside the layers.
int64_t layer_of(const std::string& name) {
  const std::string start = "model.layers.";
  return name.rfind(start, 0) == 0 ? std::stoll(name.substr(start.size())) : -1;
}

}  // namespace

std::unique_ptr<EnergyModel> OuroborosArm::build(const TensorMap& values) const {
  return std::make_unique<Ouroboros>(config_, source_of(values));
}

double Arm::prepare(const std::vector<EncodedProgram*>&, double) const {
  return 0;
}

lm::TensorList top_tensors(const lm::ModelConfig& config, int64_t layers) {
  lm::TensorList out;
  for (const auto& [name, shape] : lm::expected_tensors(config)) {
    const bool top = layer_of(name) >= config.layers - layers;
    if (top || (layers > 0 && name == "model.norm.weight")) out.emplace_back(name, shape);
  }
  return out;
}

std::shared_ptr<const StoredModel> load_stored(const std::filesystem::path& folder,
                                               const lm::LoadOptions& load) {
  auto out = std::make_shared<StoredModel>();
  out->config = lm::read_model_config(folder);
  out->tensors = lm::load_tensors(folder, out->config, load);
  return out;
}

GeneratorArm::GeneratorArm(std::shared_ptr<const StoredModel> stored,
                           const GeneratorArmOptions& options)
    : stored_(std::move(stored)),
      options_(options),
      trained_(top_tensors(stored_->config, options.tuned_layers)) {
  EnergyHead::append_tensors(stored_->config.hidden_size, trained_);
}

lm::Parameters GeneratorArm::initial(uint64_t seed, at::Device device) const {
  auto out = lm::make_parameters(trained_, at::kCPU);
  for (auto& [name, view] : out.views) {
    if (const auto found = stored_->tensors.find(name); found != stored_->tensors.end()) {
      view.copy_(found->second);
    } else if (view.dim() > 1) {
      lm::fill_normal(view, base::RandomStream(seed, name, "initial parameters"), 0.02);
    }
  }
  return lm::to_device(std::move(out), trained_, device);
}

std::unique_ptr<EnergyModel> GeneratorArm::build(const TensorMap& values) const {
  auto model = lm::build_model(stored_->config, [&](const std::string& name, at::IntArrayRef) {
    const auto found = values.find(name);
    return found != values.end() ? found->second : stored_->tensors.at(name);
  });
  return std::make_unique<GeneratorModel>(std::move(model), options_.bounded, values);
}

}  // namespace preimage::verifier
