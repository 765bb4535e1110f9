// The shape of a loss curve, in the plan's words.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace preimage::dcm {

enum class CurveClass { diverged, flat, diverging, oscillating, plateau_then_drop, monotone };

std::string_view name(CurveClass curve);    // "PLATEAU_THEN_DROP"
std::string_view health(CurveClass curve);  // "OK", "WARN" or "FAIL"

// The measures that the class is read from; NaN or -1 where a curve has none. s is the running
// median of the n losses, L0 = s_0, Lm = min s, Lf = the mean of the last max(1, n/20) of s.
struct CurveReport {
  CurveClass curve = CurveClass::flat;
  double drop = 0;     // (L0 - Lm) / L0
  double rebound = 0;  // (Lf - Lm) / (L0 - Lm)
  double up_down = 0;  // sum of rises / sum of falls of the raw losses
  int64_t t10 = -1;    // first step with s <= L0 - 0.1 (L0 - Lm)
  int64_t t50 = -1;    // likewise 0.5
};

// `losses`: the total loss at steps 0, 1, ...; at least one. The thresholds (drop 0.05, rebound
// 0.25, up/down 0.5, plateau of 0.2 n and drop within 0.2 n) are this program's choice: the plan
// gives words.
CurveReport classify_curve(std::span<const double> losses);

// Running median of odd `width`; at the ends the window holds what exists of it, and the median of
// an even number of values is the mean of the middle two.
std::vector<double> running_median(std::span<const double> values, int64_t width);

}  // namespace preimage::dcm
