// Expected improvement (Mockus 1978; Jones, Schonlau and Welch 1998), for the choice among few
// candidates.
#pragma once

namespace preimage::bo {

double normal_density(double u);     // phi
double normal_cumulative(double u);  // Phi

// (best - mean) Phi(u) + std phi(u), u = (best - mean) / std: how far below `best` a value with
// this mean and standard deviation falls on average. std > 0.
double expected_improvement_below(double best, double mean, double std);
// The same above `best`, u = (mean - best) / std.
double expected_improvement_above(double best, double mean, double std);

}  // namespace preimage::bo
