// The search in the latent space, and its two nulls: a uniform point for the proposal, and the
// plan's sign.
#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>

#include "../report/rows.hpp"
#include "arms.hpp"
#include "inversion.hpp"
#include "preimage/bo/acquisition.hpp"
#include "process.hpp"

namespace preimage::lipo {
namespace {

enum class Point { best, uniform };

// Proposals in the order in which they are tried: normalised points [latent_dim] and their values.
struct Proposals {
  std::vector<at::Tensor> points;
  std::vector<double> values;
  int64_t active_bounds = -1;
};

class LatentArm : public Arm {
 public:
  LatentArm(Point point, Sign sign) : point_(point), sign_(sign) {}
  ArmStep propose(const ArmGround& ground, const ArmHistory& history,
                  const base::RandomStream& random) const override;

 private:
  Proposals best_points(const ArmGround& ground, const ArmHistory& history,
                        const bo::GpModel& model, const base::RandomStream& random,
                        ArmStep& step) const;

  Point point_;
  Sign sign_;
};

// Uniform in the box in which the acquisition would look.
Proposals uniform_points(const LipoConfig& config, const bo::GpModel& model,
                         const base::RandomStream& random) {
  const auto box = bo::acquisition_box(model.inputs, config.acquisition.margin);
  const int64_t d = box.lower.size(0);
  Proposals out;
  for (int64_t draw = 0; draw <= config.inversion.redraws; ++draw) {
    auto u = at::empty({d}, at::kDouble);
    for (int64_t i = 0; i < d; ++i) u[i] = random.uniform(static_cast<uint64_t>(draw * d + i));
    out.points.push_back(box.lower + u * (box.upper - box.lower));
    out.values.push_back(not_a_number);
  }
  return out;
}

Proposals LatentArm::best_points(const ArmGround& ground, const ArmHistory& history,
                                 const bo::GpModel& model, const base::RandomStream& random,
                                 ArmStep& step) const {
  const double best = sign_ == Sign::plan ? history.best : -history.best;
  const auto found = bo::maximise_log_ei(model, best, ground.config.acquisition, random);
  step.start_values = found.start_values;
  step.final_values = found.final_values;
  std::vector<size_t> order(found.final_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return found.final_values[a] > found.final_values[b];
  });
  Proposals out{.active_bounds = found.active_bounds};
  for (const size_t i : order) {
    out.points.push_back(found.finals[static_cast<int64_t>(i)]);
    out.values.push_back(found.final_values[i]);
  }
  return out;
}

// Whether the arm has nothing to learn from a text: evaluated on all items by itself or by
// Hyperband.
bool known(const ArmGround& ground, const ArmHistory& history, const std::string& text) {
  for (const auto& one : history.observations) {
    if (one.text == text && one.items == ground.items) return true;
  }
  for (const auto& one : ground.counts.level(ground.items)) {
    if (ground.instructions[static_cast<size_t>(one.candidate)].text == text) return true;
  }
  return false;
}

double nearest_of(const bo::GpModel& model, const at::Tensor& point) {
  return (model.inputs - point).square().sum(1).sqrt().min().item<double>();
}

ArmStep LatentArm::propose(const ArmGround& ground, const ArmHistory& history,
                           const base::RandomStream& random) const {
  const OneThread one_thread;
  const auto& c = ground.config;
  ArmStep step{.numbers = no_numbers()};
  const auto model = arm_process(ground, history, sign_, random);
  describe(model, step);
  const auto proposals = point_ == Point::best ? best_points(ground, history, model, random, step)
                                               : uniform_points(c, model, random);
  Inversion found;
  size_t taken = 0;
  const auto tries =
      std::min<size_t>(proposals.points.size(), static_cast<size_t>(c.inversion.redraws) + 1);
  for (size_t i = 0; i < tries; ++i) {
    auto one = invert_latent(ground, model.input, model.input.denormalise(proposals.points[i]));
    if (one.text.empty()) continue;
    // The last is taken whatever its cosine: the best of what was refused is no better founded.
    found = std::move(one);
    taken = i;
    if (found.cosine >= c.inversion.accept_cosine &&
        !(c.inversion.refuse_known && known(ground, history, found.text)))
      break;
  }
  if (found.text.empty()) return step;  // no words for any of them: the arm ends
  auto& numbers = step.numbers;
  numbers.acquisition = proposals.values[taken];
  numbers.active_bounds = taken == 0 ? proposals.active_bounds : -1;
  numbers.nearest = nearest_of(model, proposals.points[taken]);
  numbers.redraws = static_cast<int64_t>(taken);
  numbers.gap_align = found.gap_align;
  numbers.gap_code = found.gap_code;
  numbers.gap_plan = found.gap_plan;
  numbers.cosine = found.cosine;
  numbers.inversion_rounds = found.rounds;
  step.proposal = model.input.denormalise(proposals.points[taken]);
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
