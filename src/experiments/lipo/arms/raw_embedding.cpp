// Log EI in the space of the embeddings themselves: the search without an autoencoder.
#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>

#include "arms.hpp"
#include "inversion.hpp"
#include "preimage/bo/acquisition.hpp"
#include "process.hpp"

namespace preimage::lipo {
namespace {

// The arm's data with embeddings in place of latents.
bo::GpData embedded(bo::GpData data, const ArmGround& ground, const std::vector<Observation>& own) {
  std::vector<at::Tensor> rows;
  for (const auto& one : ground.start) rows.push_back(ground.embeddings[one.candidate]);
  for (const auto& one : own) rows.push_back(one.embedding);
  data.inputs = at::stack(rows).to(at::kDouble);
  return data;
}

bo::GpModel embedded_process(const ArmGround& ground, const ArmHistory& history,
                             const base::RandomStream& random) {
  const auto options = ground.config.gp_options();
  const auto start = embedded(arm_data(ground, {}, Sign::corrected), ground, {});
  if (!history.parameters.defined()) return bo::fit_gp(start, options, random);
  const auto& own = history.observations;
  return bo::update_gp(bo::gp_at(start, options, history.parameters),
                       embedded(arm_data(ground, own, Sign::corrected), ground, own),
                       ground.config.retrain_options());
}

class RawEmbeddingArm : public Arm {
 public:
  ArmStep propose(const ArmGround& ground, const ArmHistory& history,
                  const base::RandomStream& random) const override {
    const OneThread one_thread;
    const auto& c = ground.config;
    ArmStep step{.numbers = no_numbers()};
    const auto model = embedded_process(ground, history, random);
    describe(model, step);
    const auto found = bo::maximise_log_ei(model, -history.best, c.acquisition, random);
    step.start_values = found.start_values;
    step.final_values = found.final_values;
    std::vector<size_t> order(found.final_values.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, std::ranges::greater{},
                             [&](size_t i) { return found.final_values[i]; });
    const auto tries = std::min(order.size(), static_cast<size_t>(c.inversion.redraws) + 1);
    for (size_t i = 0; i < tries; ++i) {
      const auto point = found.finals[static_cast<int64_t>(order[i])];
      // Embeddings have unit length; a corner of the box has not.
      auto wanted = model.input.denormalise(point).to(at::kFloat);
      wanted = wanted / wanted.norm().clamp_min(1e-12);
      const auto text = ground.inverter.invert(wanted.unsqueeze(0)).front();
      if (text.empty()) continue;
      step.asked = {{text, ground.items}};
      step.embedding = ground.inverter.embed({text})[0];
      auto& numbers = step.numbers;
      numbers.cosine = at::cosine_similarity(wanted, step.embedding, 0).item<double>();
      numbers.gap_plan = 1 - numbers.cosine;
      numbers.acquisition = found.final_values[order[i]];
      numbers.active_bounds = i == 0 ? found.active_bounds : -1;
      numbers.nearest = (model.inputs - point).square().sum(1).sqrt().min().item<double>();
      numbers.redraws = static_cast<int64_t>(i);
      if (numbers.cosine >= c.inversion.accept_cosine) break;
    }
    if (step.asked.empty()) return step;  // no words for any of them: the arm ends
    step.first_text = step.asked.front().text;
    step.latent = latent_of(ground.vae, step.embedding);
    const auto predicted = bo::predict(model, step.embedding.to(at::kDouble).unsqueeze(0));
    step.numbers.predicted_mean = -predicted.mean[0];
    step.numbers.predicted_std = predicted.std[0];
    return step;
  }
};

}  // namespace

std::unique_ptr<Arm> make_raw_embedding_arm() {
  return std::make_unique<RawEmbeddingArm>();
}

}  // namespace preimage::lipo
