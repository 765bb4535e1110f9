// The search in the latent space, and its two nulls: a uniform point for the proposal, and the
// plan's sign.
#include <map>
#include <optional>

#include <ATen/ATen.h>

#include "arms.hpp"
#include "draws.hpp"
#include "inversion.hpp"
#include "preimage/bo/acquisition.hpp"
#include "process.hpp"

namespace preimage::lipo {
namespace {

enum class Point { best, uniform };

class LatentArm : public Arm {
 public:
  LatentArm(Point point, Sign sign) : point_(point), sign_(sign) {}
  ArmStep propose(const ArmGround& ground, const ArmHistory& history,
                  const base::RandomStream& random) const override;

 private:
  Point point_;
  Sign sign_;
};

ArmStep LatentArm::propose(const ArmGround& ground, const ArmHistory& history,
                           const base::RandomStream& random) const {
  const OneThread one_thread;
  const auto& c = ground.config;
  ArmStep step{.numbers = no_numbers()};
  const auto model = arm_process(ground, history, sign_, random);
  describe(model, step);
  const double best = sign_ == Sign::plan ? history.best : -history.best;
  std::optional<bo::AcquisitionResult> optima;
  if (point_ == Point::best) {
    optima = bo::maximise_log_ei(model, best, c.acquisition, random);
    step.start_values = optima->start_values;
    step.final_values = optima->final_values;
  }
  const Draws draws(optima ? &*optima : nullptr,
                    bo::acquisition_box(model.inputs, c.acquisition.margin), c.inversion, random);
  std::map<int64_t, Inversion> tried;
  const int64_t taken = choose_draw(draws.count(), c.inversion, [&](int64_t draw) {
    auto& one = tried[draw];
    one = invert_latent(ground, model.input, model.input.denormalise(draws.point(draw)));
    return DrawnText{!one.text.empty(), is_known(ground, history, one.text), one.cosine};
  });
  step.numbers.redraws = std::ssize(tried) - 1;
  if (taken < 0) return step;
  const auto& found = tried[taken];
  const auto point = draws.point(taken);
  auto& numbers = step.numbers;
  if (optima) {
    numbers.acquisition =
        bo::log_ei_at(model, point.unsqueeze(0), best, false).values[0].item<double>();
    numbers.active_bounds = active_bounds(point, model, c.acquisition.margin);
  }
  numbers.nearest = (model.inputs - point).square().sum(1).sqrt().min().item<double>();
  numbers.gap_align = found.gap_align;
  numbers.gap_code = found.gap_code;
  numbers.gap_plan = found.gap_plan;
  numbers.cosine = found.cosine;
  numbers.inversion_rounds = found.rounds;
  step.proposal = model.input.denormalise(point);
  step.latent = c.inversion.gp_input == "mu" ? found.mu : found.z_inv;
  step.embedding = found.embedding;
  const auto predicted = bo::predict(model, found.mu.unsqueeze(0));
  numbers.predicted_mean = sign_ == Sign::plan ? predicted.mean[0] : -predicted.mean[0];
  numbers.predicted_std = predicted.std[0];
  step.first_text = found.first_text;
  step.asked.push_back({found.text, ground.items});
  return step;
}

}  // namespace

std::unique_ptr<Arm> make_latent_arm() {
  return std::make_unique<LatentArm>(Point::best, Sign::corrected);
}

std::unique_ptr<Arm> make_random_latent_arm() {
  return std::make_unique<LatentArm>(Point::uniform, Sign::corrected);
}

std::unique_ptr<Arm> make_plan_sign_arm() {
  return std::make_unique<LatentArm>(Point::best, Sign::plan);
}

}  // namespace preimage::lipo
