// Logarithm of the expected improvement and its gradient, without underflow: Ament et al.,
// "Unexpected improvements to expected improvement for Bayesian optimization", NeurIPS 2023, eq. 9.
#pragma once

#include <cstddef>
#include <span>

namespace preimage::bo {

// log h(u) and its derivative, h(u) = phi(u) + u Phi(u). Three branches in u: direct above -1,
// by erfcx to -50, by the asymptotic series of the tail below. NaN for NaN.
struct LogH {
  double value = 0;
  double slope = 0;  // Phi / h
};
LogH log_h(double u);

// erfcx(x) = exp(x^2) erfc(x) for x >= 0, to a few units in the last place.
double erfcx(double x);

// log EI = log h(u) + log(std), and its derivatives. std > 0.
struct LogEi {
  double value = 0;
  double by_mean = 0;
  double by_std = 0;  // phi / (h std) > 0
  double by_best = 0;
};

// Above `best`: u = (mean - best - xi) / std.
LogEi log_ei_above(double best, double mean, double std, double xi = 0);
// Below `best`, for an error that is to be lowered: u = (best - mean - xi) / std.
LogEi log_ei_below(double best, double mean, double std, double xi = 0);

}  // namespace preimage::bo
