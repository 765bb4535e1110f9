// Latents drawn from the autoencoder's prior, weighted by how probably their texts improve: the
// process stands on texts, the autoencoder only says where texts lie (COWBOYS: Moss, Ober and
// Diethe, arXiv 2507.03910). Preconditioned Crank-Nicolson steps (Cotter et al., Statistical
// Science 28(3), 2013) leave the prior N(0, I) as it is.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/config.hpp"
#include "preimage/base/random.hpp"

namespace preimage::lipo {

struct CowboysOptions {
  int64_t chains = 4;
  int64_t steps = 8;       // of each chain; a step brings one latent of each chain to words
  double step_size = 0.3;  // 1: independent draws from the prior
  void fields(base::Fields& f);
};

struct ChainState {
  at::Tensor latent;  // [latent_dim] double
  std::string text;
  double log_weight = 0;  // log probability of improvement; -infinity where there is no text
};

// What a latent is worth: its words, and their weight.
struct ChainTarget {
  std::function<std::vector<std::string>(const at::Tensor& latents)> words;  // [n, latent_dim]
  std::function<std::vector<double>(const std::vector<std::string>& texts)> log_weights;
};

struct Chains {
  std::vector<ChainState> last;     // [chains] where each chain stands
  std::vector<ChainState> visited;  // starts and proposals, in the order made
  int64_t accepted = 0;             // of chains x steps proposals
};

// From starts [chains, latent_dim] double. Chain c at step t draws its own elements of `random`.
Chains sample_posterior(const at::Tensor& starts, const ChainTarget& target,
                        const CowboysOptions& options, const base::RandomStream& random);

}  // namespace preimage::lipo
