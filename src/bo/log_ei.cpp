#include "preimage/bo/log_ei.hpp"

#include <cmath>
#include <numbers>

#include "preimage/base/error.hpp"
#include "preimage/bo/expected_improvement.hpp"

namespace preimage::bo {
namespace {

constexpr double kLogRootTwoPi = 0.918938533204672741780329736406;   // log(2 pi) / 2
constexpr double kLogRootHalfPi = 0.225791352644727432363097614947;  // log(pi / 2) / 2

// log(1 - exp(x)), x < 0 (Maechler 2012).
double log1mexp(double x) {
  return x > -std::numbers::ln2 ? std::log(-std::expm1(x)) : std::log1p(-std::exp(x));
}

// log h(u) + u^2 / 2 + log(2 pi) / 2 for u <= -1.
double log_h_tail(double u) {
  if (u > -50) {
    return log1mexp(std::log(erfcx(-u / std::numbers::sqrt2) * -u) + kLogRootHalfPi);
  }
  // h = phi (1/u^2 - 3/u^4 + 15/u^6 - ...): the difference above loses u^2 eps to cancellation.
  const double t = 1 / (u * u);
  const double series = t * (-3 + t * (15 + t * (-105 + t * (945 + t * -10395))));
  return -2 * std::log(-u) + std::log1p(series);
}

}  // namespace

double erfcx(double x) {
  base::check(!(x < 0), "erfcx is given a number that is not negative");
  if (x < 25) {
    // exp of the rounded square, corrected to first order by what the rounding lost.
    const double square = x * x;
    const double lost = std::fma(x, x, -square);
    return std::exp(square) * (1 + lost) * std::erfc(x);
  }
  // 1 - 1/(2x^2) + 3/(2x^2)^2 - 15/(2x^2)^3 + ...: below 1e-16 after seven terms.
  const double t = 1 / (2 * x) / x;
  double sum = 1;
  for (int k = 7; k >= 1; --k) sum = 1 - (2 * k - 1) * t * sum;
  return std::numbers::inv_sqrtpi / x * sum;
}

LogH log_h(double u) {
  if (std::isnan(u)) return {u, u};
  if (u > -1) {
    const double cumulative = normal_cumulative(u);
    const double h = normal_density(u) + u * cumulative;
    return {std::log(h), cumulative / h};
  }
  const double tail = log_h_tail(u);
  const double value = -u * u / 2 + (tail - kLogRootTwoPi);
  if (u < -1e5) return {value, -u - 2 / u};  // the next term, 6 / |u|^3, is below the last place
  // exp(log Phi - log h): the squares of u cancel before they are computed.
  const double slope =
      std::exp(kLogRootTwoPi) / 2 * erfcx(-u / std::numbers::sqrt2) / std::exp(tail);
  return {value, slope};
}

namespace {

LogEi log_ei(double u, double std, double sign) {
  base::check(std > 0, "a log expected improvement has a standard deviation above zero");
  const LogH h = log_h(u);
  LogEi out;
  out.value = h.value + std::log(std);
  out.by_mean = sign * h.slope / std;
  out.by_best = -out.by_mean;
  // phi / h = 1 - u g; above -1 the difference would cancel.
  const double density = u > -1 ? normal_density(u) / std::exp(h.value) : 1 - u * h.slope;
  out.by_std = density / std;
  return out;
}

}  // namespace

LogEi log_ei_above(double best, double mean, double std, double xi) {
  return log_ei((mean - best - xi) / std, std, 1);
}

LogEi log_ei_below(double best, double mean, double std, double xi) {
  return log_ei((best - mean - xi) / std, std, -1);
}

}  // namespace preimage::bo
