// A process over texts with the autoencoder as their prior alone.
#include <algorithm>

#include <ATen/ATen.h>

#include "arms.hpp"
#include "cowboys.hpp"
#include "inversion.hpp"
#include "process.hpp"
#include "text_process.hpp"

namespace preimage::lipo {
namespace {

constexpr int64_t kRestarts = 8;  // of the chains, where they gave known texts alone

base::RandomStream again(const base::RandomStream& random, int64_t number) {
  const uint64_t element = (uint64_t{1} << 45) + 2 * static_cast<uint64_t>(number);
  return {uint64_t{random.bits(element)} << 32 | random.bits(element + 1), "cowboys", "chains"};
}

struct Known {
  std::vector<std::string> texts;
  std::vector<double> targets;
  std::vector<at::Tensor> latents;
  bool holds(const std::string& text) const {
    return std::ranges::any_of(texts, [&](const auto& t) { return folded(t) == folded(text); });
  }
};

Known known_texts(const ArmGround& ground, const ArmHistory& history) {
  Known out;
  for (const auto& one : ground.start) {
    out.texts.push_back(ground.instructions[static_cast<size_t>(one.candidate)].text);
    out.targets.push_back(-one.error());
    out.latents.push_back(ground.latents[one.candidate]);
  }
  for (const auto& one : history.observations) {
    out.texts.push_back(one.text);
    out.targets.push_back(-one.error());
    out.latents.push_back(latent_of(ground.vae, one.embedding));
  }
  return out;
}

// Where the chains begin: the latents of the lowest errors, over and over.
at::Tensor best_latents(const Known& known, int64_t chains) {
  std::vector<size_t> order(known.texts.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](size_t i) { return known.targets[i]; });
  std::vector<at::Tensor> rows;
  for (int64_t c = 0; c < chains; ++c)
    rows.push_back(known.latents[order[static_cast<size_t>(c) % order.size()]].to(at::kDouble));
  return at::stack(rows).contiguous();
}

// A draw of the posterior that was not evaluated yet: where a chain ends, else what any visited, by
// weight.
const ChainState* choose(const Chains& chains, const Known& known) {
  const auto fresh = [&](const ChainState& s) { return !s.text.empty() && !known.holds(s.text); };
  for (const auto& state : chains.last)
    if (fresh(state)) return &state;
  const ChainState* best = nullptr;
  for (const auto& state : chains.visited)
    if (fresh(state) && (!best || state.log_weight > best->log_weight)) best = &state;
  return best;
}

class CowboysArm : public Arm {
 public:
  ArmStep propose(const ArmGround& ground, const ArmHistory& history,
                  const base::RandomStream& random) const override {
    const OneThread one_thread;
    ArmStep step{.numbers = no_numbers()};
    const auto known = known_texts(ground, history);
    const auto process = fit_text_process(known.texts, known.targets);
    const ChainTarget target{
        [&](const at::Tensor& latents) {
          return ground.inverter.invert(vae_decode(ground.vae, latents.to(at::kFloat)));
        },
        [&](const std::vector<std::string>& texts) {
          const auto found = predict(process, texts);
          std::vector<double> out;
          for (size_t i = 0; i < texts.size(); ++i)
            out.push_back(log_improvement_probability(-history.best, found.mean[i], found.std[i]));
          return out;
        }};
    const auto& options = ground.config.cowboys;
    auto chains = sample_posterior(best_latents(known, options.chains), target, options, random);
    const auto* chosen = choose(chains, known);
    // Where every text is known, the chains go on from where they stand, with steps ever longer.
    for (int64_t more = 1; !chosen && more <= kRestarts; ++more) {
      auto longer = options;
      longer.step_size += (1 - options.step_size) * static_cast<double>(more) / kRestarts;
      std::vector<at::Tensor> last;
      for (const auto& state : chains.last) last.push_back(state.latent);
      chains = sample_posterior(at::stack(last).contiguous(), target, longer, again(random, more));
      step.numbers.redraws = more;
      chosen = choose(chains, known);
    }
    step.numbers.observations = std::ssize(known.texts);
    step.numbers.gp_loss = -process.log_likelihood / static_cast<double>(known.texts.size());
    step.numbers.gp_noise = process.noise;
    step.numbers.gp_outputscale = process.outputscale;
    if (!chosen) return step;
    const auto predicted = predict(process, {chosen->text});
    step.numbers.predicted_mean = -predicted.mean[0];
    step.numbers.predicted_std = predicted.std[0];
    step.numbers.acquisition = chosen->log_weight;
    step.proposal = chosen->latent;
    step.embedding = ground.inverter.embed({chosen->text})[0];
    step.latent = latent_of(ground.vae, step.embedding);
    const auto decoded = vae_decode(ground.vae, chosen->latent.to(at::kFloat).unsqueeze(0))[0];
    step.numbers.cosine = at::cosine_similarity(decoded, step.embedding, 0).item<double>();
    step.numbers.gap_plan = 1 - step.numbers.cosine;
    step.first_text = chosen->text;
    step.asked.push_back({chosen->text, ground.items});
    return step;
  }
};

}  // namespace

std::unique_ptr<Arm> make_cowboys_arm() {
  return std::make_unique<CowboysArm>();
}

}  // namespace preimage::lipo
