// A Gaussian process over texts themselves: the kernel counts what two texts share, no embedding
// stands between (as Moss, Ober and Diethe, arXiv 2507.03910, do with fingerprints of molecules).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/bo/gaussian_process.hpp"

namespace preimage::lipo {

struct TextKernelOptions {
  int64_t characters = 4;  // n-grams of 1 to so many bytes of the folded text
  int64_t words = 2;       // and of 1 to so many words
};

// Counts of a text's n-grams, letters in lower case (ASCII), white space collapsed.
using TextCounts = std::map<std::string, int64_t>;
TextCounts text_counts(const std::string& text, const TextKernelOptions& options = {});

// The Tanimoto (min-max) kernel: sum of the smaller counts over sum of the larger ones; 1 for equal
// texts, 0 for texts that share nothing, positive definite (Ralaivola et al., Neural Networks 18,
// 2005, section 4). 0 where a text has no n-grams.
double text_kernel(const TextCounts& a, const TextCounts& b);

// k = outputscale T + noise I on standardised targets; the two are those of the highest marginal
// likelihood in [0.01, 100] x [0.001, 1].
struct TextProcess {
  TextKernelOptions options;
  std::vector<TextCounts> counts;  // [N]
  bo::TargetScale target;
  double outputscale = 1, noise = 0.1;
  double log_likelihood = 0;  // at the two
  at::Tensor alpha;           // [N] (K + noise)^-1 y
  at::Tensor inverse;         // [N, N] (K + noise)^-1
};
// Targets are to be made large. At least one text.
TextProcess fit_text_process(const std::vector<std::string>& texts, std::span<const double> targets,
                             const TextKernelOptions& options = {});

// Posterior of the latent function in units of the targets; std of at least 1e-5 standardised.
struct TextPosterior {
  std::vector<double> mean, std;
};
TextPosterior predict(const TextProcess& process, const std::vector<std::string>& texts);

// log Phi(u), u = (mean - best) / std: the logarithm of the probability that a text is better.
double log_improvement_probability(double best, double mean, double std);

}  // namespace preimage::lipo
