// Direct preference optimisation of the model that proposes prompts: a LoRA adapter on the frozen
// model, trained on pairs of prompts for one target.
#pragma once

#include <cstdint>
#include <vector>

#include "preimage/base/config.hpp"
#include "preimage/lm/adapter/live_adapter.hpp"

namespace preimage::ips {

struct PreferenceOptions {
  double beta = 0.1;
  double learning_rate = 1e-3;
  double gradient_clip = 1;
  int64_t epochs = 4;  // steps, each over all pairs
  int64_t batch_tokens = 8192;
  lm::AdapterOptions adapter{.rank = 8, .alpha = 16, .targets = {"q_proj", "v_proj"}};
  void fields(base::Fields& f);
};

// Two answers to the same prompt, with the token that ends them.
struct PreferencePair {
  std::vector<int64_t> chosen, rejected;
};

struct PreferenceTraining {
  lm::LiveAdapter adapter;
  std::vector<double> losses;          // before each step: the first is ln 2
  std::vector<double> gradient_norms;  // of each step, before clipping
};

// From an adapter that changes nothing, drawn from `seed`: so the log-probabilities before the
// first step are the reference's, and no second model is read. The gradient is that of
// dpo_loss: with h = beta ((chosen - its reference) - (rejected - its reference)), a pair moves
// both answers by beta sigmoid(-h) / pairs.
PreferenceTraining train_preferences(const lm::Model& model, const std::vector<int64_t>& prompt,
                                     const std::vector<PreferencePair>& pairs,
                                     const PreferenceOptions& options, uint64_t seed);

}  // namespace preimage::ips
