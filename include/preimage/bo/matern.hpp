// The Matern kernel with smoothness 5/2 (Rasmussen and Williams, "Gaussian processes for machine
// learning", 2006, eq. 4.17).
#pragma once

namespace preimage::bo {

// (1 + sqrt(5) r + 5 r^2 / 3) exp(-sqrt(5) r), r >= 0 the distance in lengthscales.
double matern52(double r);
// Its derivative by r, -5/3 r (1 + sqrt(5) r) exp(-sqrt(5) r): finite, and 0 at r = 0.
double matern52_slope(double r);

}  // namespace preimage::bo
