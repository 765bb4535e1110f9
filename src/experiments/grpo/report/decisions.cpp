#include "decisions.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "preimage/base/str.hpp"

namespace preimage::grpo {
namespace {

using base::str;
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

double mean(const std::vector<double>& values) {
  double sum = 0, count = 0;
  for (const double x : values) {
    if (std::isnan(x)) continue;
    sum += x, count += 1;
  }
  return count > 0 ? sum / count : not_a_number;
}

double count_if(const std::vector<double>& values, const std::function<bool(double)>& holds) {
  return static_cast<double>(std::ranges::count_if(values, holds));
}

// "16 of 20": as many of `steps`.
double most(size_t steps) {
  return std::ceil(0.8 * static_cast<double>(steps));
}

Decision variance(const ProbeEvidence& e) {
  const double smallest = e.reward_range.empty() ? 0 : *std::ranges::min_element(e.reward_range);
  Decision out{"P1", smallest > 1, "ok", smallest, 1, "smallest reward range of a group"};
  if (smallest < 0.1) {
    out.verdict = "useless: a group without reward variance";
  } else if (!out.holds) {
    out.verdict = "warn: little reward variance";
  }
  return out;
}

std::vector<Decision> alignment(const ProbeEvidence& e) {
  const double need = most(e.cos_in.size());
  const double positive = count_if(e.cos_sgn, [](double x) { return x > 0; });
  const double strong = count_if(e.cos_in, [](double x) { return x > 0.2; });
  const double off = std::abs(mean(e.cos_in) - e.null_mean);
  const bool any = !e.cos_in.empty();
  std::vector<Decision> out;
  out.push_back({"P2a", any && positive >= need, "aligned", positive, need,
                 str("steps with cos_sgn > 0 of ", e.cos_sgn.size(), ", binomial p ",
                     binomial_tail(static_cast<int64_t>(positive), std::ssize(e.cos_sgn)))});
  out.push_back({"P2b", off <= 2 * e.null_sd, "about zero: no more than directions without meaning",
                 off, 2 * e.null_sd, "|mean cos_in - null|"});
  out.push_back({"P2c", any && strong >= need, "strong: the sweep is justified", strong, need,
                 "steps with cos_in > 0.2"});
  out.push_back({"P2d", any && !out[1].holds && !out[2].holds, "weak", mean(e.cos_in), e.null_mean,
                 "neither about zero nor strong"});
  const double sign = mean(e.cos_sgn);
  out.push_back({"P2e", sign < -2 * e.signed_null_sd, "the wrong sign, or the base pool dominates",
                 sign, -2 * e.signed_null_sd, "mean cos_sgn"});
  return out;
}

std::vector<Decision> mechanism(const ProbeEvidence& e) {
  double lower = 0;
  for (size_t k = 0; k < e.projected_out.size(); ++k)
    lower += e.projected_out[k] < e.projected_in[k] - 1e-6 ? 1 : 0;
  const double need = most(e.projected_out.size());
  const double fired = mean(e.projected_fired), out_mean = mean(e.projected_out);
  const double leak = mean(e.projected_leak);
  const double leak_limit = e.null_mean + 2 * e.null_sd;
  const bool any = !e.projected_out.empty();
  // Without an update there is nothing that could leak: the pass at learning rate 0.
  const bool tight = std::isnan(leak) || leak < leak_limit;
  return {{"P3", any && lower >= need && fired >= 0.5, "the mechanism is active", lower, need,
           str("steps with cos_out < cos_in; share of modules fired ", fired, ", need 0.5")},
          {"P4", any && out_mean < 0.05 && tight, "effective", out_mean, 0.05,
           str("mean cos_out; mean leak ", leak, ", limit ", leak_limit)},
          {"P4x", e.over_projected, "a fault: overshoot above 1, or directions not orthonormal",
           e.over_projected ? 1.0 : 0.0, 0, "an axis that changed its sign"}};
}

bool within_null(const ProbeEvidence& e) {
  bool all = !e.cos_in.empty();
  for (size_t k = 0; k < e.cos_in.size(); ++k)
    all &= std::abs(e.cos_in[k] - e.null_mean) <= 2 * e.null_step_sd[k];
  return all;
}

Decision verdict(const std::vector<Decision>& d) {
  const auto& of = [&](const std::string& id) -> const Decision& {
    return *std::ranges::find(d, id, &Decision::id);
  };
  const auto say = [](bool go, std::string text) {
    return Decision{"verdict", go, std::move(text), 0, 0, ""};
  };
  if (of("P1").value < 0.1) return say(false, of("P1").verdict);
  if (of("P4x").holds) return say(false, of("P4x").verdict);
  if (of("SKIP3").holds) return say(false, of("SKIP3").verdict);
  if (of("P2e").holds) return say(false, of("P2e").verdict);
  const std::string effective =
      of("P4").holds ? "; the projection is effective" : "; the projection is not effective";
  if (of("P2c").holds) return say(true, of("P2c").verdict + effective);
  if (of("P2b").holds)
    return say(true, "run the sweep, expect a smaller effect: about zero at the start" + effective);
  return say(true, std::string("weak alignment") +
                       (of("P2a").holds ? ", of the expected sign" : ", of no clear sign") +
                       effective);
}

}  // namespace

double binomial_tail(int64_t count, int64_t steps) {
  double sum = 0;
  for (int64_t i = std::max<int64_t>(0, count); i <= steps; ++i) {
    const auto n = static_cast<double>(steps), k = static_cast<double>(i);
    sum += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) -
                    n * std::log(2.0));
  }
  return std::min(1.0, sum);
}

std::vector<Decision> decide(const ProbeEvidence& e) {
  std::vector<Decision> out = {variance(e)};
  for (auto& decision : alignment(e)) out.push_back(std::move(decision));
  for (auto& decision : mechanism(e)) out.push_back(std::move(decision));
  const bool apart = e.auc_low > 0.5 || e.auc_high < 0.5;
  const bool discriminates = apart && (!e.both_buckets || e.hacked_effect > 0);
  out.push_back({"P5", discriminates, "tells teacher from base",
                 apart && e.auc_high < 0.5 ? e.auc_high : e.auc_low, 0.5,
                 str("interval of the AUC ", e.auc_low, " to ", e.auc_high,
                     e.both_buckets ? str("; within teacher, hacked less others ", e.hacked_effect)
                                    : "; the teacher has one bucket alone")});
  const bool skip = within_null(e) && !discriminates;
  out.push_back({"SKIP3", skip, "skip the sweep: no step beyond its null, and no discrimination",
                 skip ? 1.0 : 0.0, 1, "every |cos_in - null| <= 2 sd of the step, and not P5"});
  const double best =
      e.base_reward_max.empty() ? not_a_number : *std::ranges::max_element(e.base_reward_max);
  out.push_back({"VAR1", best <= 0.5, "one-sided variance: no base sample is ever rewarded", best,
                 0.5, "largest reward of a base sample"});
  out.push_back(verdict(out));
  return out;
}

}  // namespace preimage::grpo
