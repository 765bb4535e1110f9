#include "preimage/bo/matern.hpp"

#include <cmath>

namespace preimage::bo {
namespace {
constexpr double kRootFive = 2.236067977499789696409173668731;
}

double matern52(double r) {
  return (1 + kRootFive * r + 5 * r * r / 3) * std::exp(-kRootFive * r);
}

double matern52_slope(double r) {
  return -5.0 / 3 * r * (1 + kRootFive * r) * std::exp(-kRootFive * r);
}

}  // namespace preimage::bo
