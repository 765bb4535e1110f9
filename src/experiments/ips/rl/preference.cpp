#include "rl/preference.hpp"

#include <ATen/ATen.h>

#include "preimage/lm/adapter/sample_gradients.hpp"
#include "preimage/optim/adam.hpp"
#include "rl/losses.hpp"

namespace preimage::ips {
namespace {

lm::WeightedSample sum_sample(const std::vector<int64_t>& prompt,
                              const std::vector<int64_t>& answer) {
  lm::WeightedSample out{.ids = prompt, .weights = std::vector<float>(prompt.size(), 0.f)};
  out.ids.insert(out.ids.end(), answer.begin(), answer.end());
  out.weights.resize(out.ids.size(), 1.f);
  return out;
}

}  // namespace

PreferenceTraining train_preferences(const lm::Model& model, const std::vector<int64_t>& prompt,
                                     const std::vector<PreferencePair>& pairs,
                                     const PreferenceOptions& options, uint64_t seed) {
  PreferenceTraining out{.adapter = lm::make_adapter(model, options.adapter, seed)};
  std::vector<lm::WeightedSample> samples;  // chosen, rejected, chosen, ...
  for (const auto& pair : pairs) {
    samples.push_back(sum_sample(prompt, pair.chosen));
    samples.push_back(sum_sample(prompt, pair.rejected));
  }
  auto& values = out.adapter.parameters.flat;
  const auto none = at::zeros_like(values);  // no weight decay
  optim::AdamWState state{at::zeros_like(values), at::zeros_like(values)};
  optim::AdamOptions adam;
  adam.clip = options.gradient_clip, adam.weight_decay = 0;
  at::Tensor reference;  // [pairs, 2] log-probabilities
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    const auto found =
        lm::sample_gradients(model, out.adapter, samples, {.batch_tokens = options.batch_tokens});
    auto logp = -at::tensor(found.losses, at::kDouble).view({-1, 2});
    if (!reference.defined()) reference = logp;
    const auto loss = dpo_loss(
        {logp.select(1, 0), reference.select(1, 0), logp.select(1, 1), reference.select(1, 1)},
        options.beta);
    out.losses.push_back(loss.item<double>());
    const auto gain = logp - reference;
    const auto h = options.beta * (gain.select(1, 0) - gain.select(1, 1));
    const auto weight = options.beta * at::sigmoid(-h) / static_cast<double>(pairs.size());
    // Gradients are of -log p: those of chosen answers go down, of rejected ones up. Added in the
    // order of the pairs.
    auto total = at::zeros_like(values);
    for (int64_t i = 0; i < weight.size(0); ++i) {
      const double w = weight[i].item<double>();
      total.add_(found.gradients[2 * i], w).sub_(found.gradients[2 * i + 1], w);
    }
    out.gradient_norms.push_back(static_cast<double>(
        optim::adamw_step(values, total, none, state, options.learning_rate, adam)));
  }
  return out;
}

void PreferenceOptions::fields(base::Fields& f) {
  f.add("beta", beta, {.help = "of the loss: how far from the frozen model", .min = 0});
  f.add("learning_rate", learning_rate, {.help = "of Adam", .min = 0});
  f.add("gradient_clip", gradient_clip, {.help = "norm of a gradient; 0: none", .min = 0});
  f.add("epochs", epochs, {.help = "steps of a training, each over all pairs", .min = 1});
  f.add("batch_tokens", batch_tokens,
        {.help = "put through the model at once",
         .unit = "tokens",
         .min = 1,
         .role = base::FieldRole::placement});
  adapter.lora_fields(f);
}

}  // namespace preimage::ips
