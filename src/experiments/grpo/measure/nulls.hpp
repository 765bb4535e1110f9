// What cosines are worth: the same measures with directions that mean nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "directions.hpp"
#include "projection.hpp"

namespace preimage::grpo {

// Of a random unit vector g in R^r against k fixed orthonormal rows.
// E|c|_k = Gamma((k+1)/2) Gamma(r/2) / (Gamma(k/2) Gamma((r+1)/2)); E|relu(c)| averages it over how
// many of the k coordinates are positive, sum_m C(k, m) 2^-k E|c|_m; P(fired) = 1 - 2^-k.
double expected_cosine(int64_t r, int64_t k);
double expected_one_sided(int64_t r, int64_t k);
double expected_fired(int64_t k);
// Unweighted means over the kept modules, as a step's cos_in is one.
double isotropic_cos_in(const Directions& directions);

enum class NullKind {
  random,       // orthonormal Gaussian rows, d Gaussian
  shuffled,     // hack and clean of each pair changed round with probability 1/2
  anisotropic,  // rows drawn from the covariance of the base pool's gradients, d likewise
};
const char* null_name(NullKind kind);

// alignments[draw][step]: what the steps' gradients measure against drawn directions with as many
// rows in each module as the real ones.
using NullDraws = std::vector<std::vector<Alignment>>;

struct NullInput {
  const Directions* directions = nullptr;
  const Rows* gradients = nullptr;  // of the steps [steps, n]
  const Rows* material = nullptr;   // shuffled: the pairs' D; anisotropic: base samples; else null
  int64_t draws = 100;
  uint64_t seed = 0;
};

// A draw's numbers depend on (seed, kind, module, draw) alone. Changing signs of rows of D changes
// neither its right singular vectors nor its singular values (D'D is the same), so the shuffled
// null keeps the axes and draws their orientation and d anew; flips that are all equal are left
// out. Anisotropic rows span what the centred base gradients span: at most samples - 1 of them.
NullDraws draw_null(NullKind kind, const NullInput& input);

// Where an observed mean over steps lies among the draws' means over the same steps.
struct NullSummary {
  double mean = 0, deviation = 0;  // over draws, of the mean over steps; deviation with draws - 1
  std::vector<double> step_mean, step_deviation;  // [steps] over draws
  int64_t draws = 0;
};
// `measure` picks a number of an alignment. Steps without one (NaN) count in no mean.
NullSummary summarise(const NullDraws& draws, double Alignment::*measure);
struct NullTest {
  double z = 0;
  int64_t at_least = 0;  // draws with at least the observed value
  double p = 1;          // (1 + at_least) / (1 + draws)
};
NullTest test_against(const NullDraws& draws, double Alignment::*measure, double observed);

}  // namespace preimage::grpo
