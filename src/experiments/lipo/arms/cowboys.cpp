#include "cowboys.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "preimage/base/error.hpp"

namespace preimage::lipo {
namespace {

std::vector<ChainState> states_of(const at::Tensor& latents, const ChainTarget& target) {
  const auto texts = target.words(latents);
  const auto weights = target.log_weights(texts);
  std::vector<ChainState> out;
  for (size_t i = 0; i < texts.size(); ++i) {
    const double none = -std::numeric_limits<double>::infinity();
    out.push_back(
        {latents[static_cast<int64_t>(i)].clone(), texts[i], texts[i].empty() ? none : weights[i]});
  }
  return out;
}

}  // namespace

void CowboysOptions::fields(base::Fields& f) {
  f.add("chains", chains, {.help = "chains in the latent space", .min = 1, .max = 4096});
  f.add("steps", steps,
        {.help = "steps of each chain; each brings a latent to words", .min = 1, .max = 1e6});
  f.add("step_size", step_size,
        {.help = "of the Crank-Nicolson step; 1 draws from the prior", .min = 1e-6, .max = 1});
}

Chains sample_posterior(const at::Tensor& starts, const ChainTarget& target,
                        const CowboysOptions& options, const base::RandomStream& random) {
  const int64_t chains = starts.size(0), d = starts.size(1);
  const double keep = std::sqrt(1 - options.step_size * options.step_size);
  Chains out;
  out.last = states_of(starts, target);
  out.visited = out.last;
  for (int64_t step = 0; step < options.steps; ++step) {
    auto proposals = at::empty({chains, d}, at::kDouble);
    for (int64_t c = 0; c < chains; ++c) {
      const auto* from = out.last[c].latent.const_data_ptr<double>();
      for (int64_t k = 0; k < d; ++k) {
        const auto element = static_cast<uint64_t>((step * chains + c) * d + k);
        proposals.data_ptr<double>()[c * d + k] =
            keep * from[k] + options.step_size * random.normal(element);
      }
    }
    const auto states = states_of(proposals, target);
    for (int64_t c = 0; c < chains; ++c) {
      out.visited.push_back(states[c]);
      // Elements of uniform() begin where no normal() of a run of this length reaches.
      const auto element = (uint64_t{1} << 40) + static_cast<uint64_t>(step * chains + c);
      const double ratio = states[c].log_weight - out.last[c].log_weight;
      // A chain without words takes what has some; from none to none it stays.
      if (!(std::log(random.uniform(element)) < ratio)) continue;
      out.last[c] = states[c];
      ++out.accepted;
    }
  }
  return out;
}

}  // namespace preimage::lipo
