// Hyperband goes on: the pool's next by expected improvement, on all items.
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "arms.hpp"
#include "preimage/bo/expected_improvement.hpp"
#include "process.hpp"

namespace preimage::lipo {
namespace {

class HyperbandArm : public Arm {
 public:
  ArmStep propose(const ArmGround& ground, const ArmHistory& history,
                  const base::RandomStream& random) const override {
    const OneThread one_thread;
    ArmStep step{.numbers = no_numbers()};
    std::vector<int64_t> open;
    for (int64_t i = 0; i < std::ssize(ground.instructions); ++i) {
      const auto& text = ground.instructions[static_cast<size_t>(i)].text;
      bool asked = ground.counts.find(i, ground.items).has_value();
      for (const auto& one : history.observations) asked = asked || one.text == text;
      if (!asked) open.push_back(i);
    }
    if (open.empty()) return step;
    const auto model = arm_process(ground, history, Sign::corrected, random);
    describe(model, step);
    const auto latents = ground.latents.index_select(0, at::tensor(open, at::kLong));
    const auto predicted = bo::predict(model, latents);
    size_t best = 0;
    double highest = -std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < open.size(); ++i) {
      const double score =
          bo::expected_improvement_above(-history.best, predicted.mean[i], predicted.std[i]);
      if (score <= highest) continue;
      highest = score;
      best = i;
    }
    const auto& chosen = ground.instructions[static_cast<size_t>(open[best])];
    step.numbers.predicted_mean = -predicted.mean[best];
    step.numbers.predicted_std = predicted.std[best];
    step.numbers.acquisition = std::log(highest);
    step.latent = latents[static_cast<int64_t>(best)];
    step.embedding = ground.embeddings[open[best]];
    step.first_text = chosen.text;
    step.asked.push_back({chosen.text, ground.items});
    return step;
  }
};

}  // namespace

std::unique_ptr<Arm> make_hyperband_arm() {
  return std::make_unique<HyperbandArm>();
}

}  // namespace preimage::lipo
