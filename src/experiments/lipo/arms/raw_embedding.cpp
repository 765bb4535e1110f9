// Log EI in the space of the embeddings themselves: the search without an autoencoder.
#include <map>

#include <ATen/ATen.h>

#include "arms.hpp"
#include "draws.hpp"
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
    const Draws draws(&found, bo::acquisition_box(model.inputs, c.acquisition.margin), c.inversion,
                      random);
    struct Tried {
      std::string text;
      at::Tensor embedding;
      double cosine = 0;
    };
    std::map<int64_t, Tried> tried;
    const int64_t taken = choose_draw(draws.count(), c.inversion, [&](int64_t draw) {
      auto& one = tried[draw];
      // Embeddings have unit length; a corner of the box has not.
      auto wanted = model.input.denormalise(draws.point(draw)).to(at::kFloat);
      wanted = wanted / wanted.norm().clamp_min(1e-12);
      one.text = ground.inverter.invert(wanted.unsqueeze(0)).front();
      if (one.text.empty()) return DrawnText{};
      one.embedding = ground.inverter.embed({one.text})[0];
      one.cosine = at::cosine_similarity(wanted, one.embedding, 0).item<double>();
      return DrawnText{true, is_known(ground, history, one.text), one.cosine};
    });
    auto& numbers = step.numbers;
    numbers.redraws = std::ssize(tried) - 1;
    if (taken < 0) return step;
    const auto point = draws.point(taken);
    step.asked = {{tried[taken].text, ground.items}};
    step.embedding = tried[taken].embedding;
    numbers.cosine = tried[taken].cosine;
    numbers.gap_plan = 1 - numbers.cosine;
    numbers.acquisition =
        bo::log_ei_at(model, point.unsqueeze(0), -history.best, false).values[0].item<double>();
    numbers.active_bounds = active_bounds(point, model, c.acquisition.margin);
    numbers.nearest = (model.inputs - point).square().sum(1).sqrt().min().item<double>();
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
