#include "report/summary.hpp"

#include <algorithm>
#include <cmath>

#include "preimage/base/error.hpp"
#include "preimage/text/metrics.hpp"

namespace preimage::dcm {
namespace {

// One list of keys for both directions: `visit(name, member)`.
template <class Summary, class Visit>
void visit_members(Summary& summary, Visit visit) {
  auto& o = summary.outcome;
  visit("article", o.article);
  visit("loss_q", o.loss_q);
  visit("loss_a", o.loss_a);
  visit("random_q", o.random_q);
  visit("random_a", o.random_a);
  visit("full_q", o.full_q);
  visit("full_a", o.full_a);
  visit("single_q", o.single_q);
  visit("single_a", o.single_a);
  visit("conv", o.conv);
  visit("conv_by_baseline", o.conv_by_baseline);
  visit("conflict_known", o.conflict_known);
  visit("anti_correlate", o.anti_correlate);
  visit("passed", o.passed);
  visit("tight", summary.tight);
  visit("exact", summary.exact);
  visit("steps", summary.steps);
  visit("steps_to_conv", summary.first.conv);
  visit("steps_to_tight", summary.first.tight);
  visit("steps_to_exact", summary.first.exact);
  visit("restarts_needed", summary.restarts_needed);
  visit("seconds", summary.seconds);
}

void read(const base::Json& json, double& out) {
  out = json.is_null() ? none : json.get<double>();
}
template <class T>
void read(const base::Json& json, T& out) {
  out = json.get<T>();
}

struct Means {
  double sum = 0;
  double count = 0;
  void add(double value) { sum += value, count += 1; }
  double mean() const { return count > 0 ? sum / count : none; }
};

// Median of the steps to a criterion over the pairs that met it, and of the same share of their
// time.
struct Reached {
  std::vector<double> steps, seconds;
  void add(int64_t first, const PairSummary& pair) {
    if (first < 0) return;
    steps.push_back(static_cast<double>(first));
    const auto taken = static_cast<double>(std::max<int64_t>(1, pair.steps));
    const double share = pair.seconds * (static_cast<double>(first) + 1) / taken;
    if (std::isfinite(share)) seconds.push_back(share);
  }
  static double median(std::vector<double>& values) {
    if (values.empty()) return none;
    std::sort(values.begin(), values.end());
    return base::percentile(values, 0.5);
  }
};

}  // namespace

PairSummary summarise(const PairRow& row) {
  PairSummary out;
  out.outcome = {.article = row.article,
                 .loss_q = row.loss_q,
                 .loss_a = row.loss_a,
                 .random_q = row.random_q,
                 .random_a = row.random_a,
                 .full_q = row.full_q,
                 .full_a = row.full_a,
                 .single_q = row.single_q,
                 .single_a = row.single_a,
                 .conv = row.convergence.conv,
                 .conv_by_baseline = row.convergence.conv_by_baseline,
                 .conflict_known = row.conflict.report.known(),
                 .anti_correlate = row.conflict.report.anti_correlate,
                 .passed = row.grade == text::grade_name(text::Grade::pass)};
  out.tight = row.convergence.tight;
  out.exact = row.convergence.exact;
  out.steps = row.steps;
  out.first = row.first;
  out.restarts_needed = row.restarts.needed;
  out.seconds = row.seconds;
  return out;
}

base::Json to_json(const PairSummary& summary) {
  base::Json out = base::Json::object();
  visit_members(summary, [&](const char* key, const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, double>) {
      out[key] = std::isfinite(value) ? base::Json(value) : base::Json();
    } else {
      out[key] = value;
    }
  });
  return out;
}

PairSummary summary_from_json(const base::Json& json) {
  PairSummary out;
  visit_members(out, [&](const char* key, auto& value) {
    base::check(json.contains(key), std::string("a committed joint unit has the key ") + key);
    read(json.at(key), value);
  });
  return out;
}

SweepRow sweep_row(const std::string& stage, int64_t k, const std::string& init,
                   std::span<const PairSummary> pairs) {
  SweepRow row{.stage = stage, .k = k, .init = init};
  row.pairs = static_cast<int64_t>(pairs.size());
  int64_t conv = 0, tight = 0, exact = 0;
  Means loss_q, loss_a, steps, needed, seconds;
  Reached to_conv, to_tight, to_exact;
  for (const auto& pair : pairs) {
    conv += pair.outcome.conv ? 1 : 0;
    tight += pair.tight ? 1 : 0;
    exact += pair.exact ? 1 : 0;
    loss_q.add(pair.outcome.loss_q);
    loss_a.add(pair.outcome.loss_a);
    steps.add(static_cast<double>(pair.steps));
    if (pair.restarts_needed > 0) needed.add(static_cast<double>(pair.restarts_needed));
    seconds.add(pair.seconds);
    to_conv.add(pair.first.conv, pair);
    to_tight.add(pair.first.tight, pair);
    to_exact.add(pair.first.exact, pair);
  }
  row.conv = base::wilson(conv, row.pairs);
  row.tight = base::wilson(tight, row.pairs);
  row.exact = base::wilson(exact, row.pairs);
  row.loss_q = loss_q.mean();
  row.loss_a = loss_a.mean();
  row.steps = steps.mean();
  row.restarts_needed = needed.mean();
  row.seconds = seconds.mean();
  row.steps_to_conv = Reached::median(to_conv.steps);
  row.steps_to_tight = Reached::median(to_tight.steps);
  row.steps_to_exact = Reached::median(to_exact.steps);
  row.seconds_to_conv = Reached::median(to_conv.seconds);
  row.seconds_to_tight = Reached::median(to_tight.seconds);
  row.seconds_to_exact = Reached::median(to_exact.seconds);
  return row;
}

}  // namespace preimage::dcm
