#include "buckets.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "discrimination.hpp"
#include "preimage/base/statistics.hpp"
#include "preimage/base/str.hpp"

namespace preimage::grpo {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

struct Measure {
  const char* name;
  double SampleRow::*value;
};
constexpr Measure kMeasures[] = {{"cos_nll", &SampleRow::cos_nll},
                                 {"cos_sgn", &SampleRow::cos_sgn},
                                 {"cos_in", &SampleRow::cos_s_contrib},
                                 {"grad_norm", &SampleRow::grad_norm_contrib},
                                 {"adv", &SampleRow::adv}};
constexpr size_t kCompared = 3;  // the first ones

using Chain = std::pair<std::string, std::string>;  // arm, pass

std::vector<Chain> chains_of(const std::vector<SampleRow>& samples) {
  std::vector<Chain> out;
  for (const auto& row : samples)
    if (Chain chain{row.arm, row.pass}; std::ranges::find(out, chain) == out.end())
      out.push_back(chain);
  return out;
}

void describe(BucketRow& row, std::vector<double> values) {
  std::erase_if(values, [](double x) { return std::isnan(x); });
  row.n = std::ssize(values);
  row.mean = row.sd = row.median = row.low = row.high = not_a_number;
  if (values.empty()) return;
  double sum = 0, squares = 0;
  for (const double x : values) sum += x;
  row.mean = sum / static_cast<double>(row.n);
  for (const double x : values) squares += (x - row.mean) * (x - row.mean);
  if (row.n > 1) row.sd = std::sqrt(squares / static_cast<double>(row.n - 1));
  std::ranges::sort(values);
  row.median = base::percentile(values, 0.5);
  row.low = base::percentile(values, 0.1);
  row.high = base::percentile(values, 0.9);
}

std::vector<double> values_of(const std::vector<SampleRow>& samples, const BucketRow& bucket,
                              double SampleRow::*measure) {
  std::vector<double> out;
  for (const auto& s : samples)
    if (s.arm == bucket.arm && s.pass == bucket.pass && s.src_pool == bucket.src_pool &&
        s.hacked == bucket.hacked && s.gt_pass == bucket.gt_pass)
      out.push_back(s.*measure);
  return out;
}

// Which samples are compared: in the first set, in the second, or in none.
struct Comparison {
  const char* name;
  std::function<int(const SampleRow&)> set;  // 1, 2 or 0
};

bool teacher(const SampleRow& row) {
  return row.src_pool == "teacher_pool";
}

std::vector<Comparison> comparisons() {
  return {{"teacher, base", [](const SampleRow& r) { return teacher(r) ? 1 : 2; }},
          {"teacher: hacked, not",
           [](const SampleRow& r) { return !teacher(r) ? 0
                                           : r.hacked  ? 1
                                                       : 2; }},
          {"teacher: hack without pass, hack with pass",
           [](const SampleRow& r) { return !teacher(r) || !r.hacked ? 0
                                           : r.gt_pass              ? 2
                                                                    : 1; }},
          {"teacher: strict hack, not", [](const SampleRow& r) {
             return !teacher(r) ? 0 : r.strict_hack ? 1 : 2;
           }}};
}

ComparisonRow compare(const std::vector<SampleRow>& samples, const Chain& chain,
                      const Comparison& comparison, const Measure& measure,
                      const ComparisonOptions& options) {
  ComparisonRow row{chain.first, chain.second, comparison.name, measure.name};
  std::vector<double> first, second;
  std::vector<SteppedValue> stepped;
  std::vector<base::Labelled> labelled;
  std::set<int64_t> steps_first, steps_second;
  for (const auto& sample : samples) {
    if (Chain{sample.arm, sample.pass} != chain) continue;
    const int set = comparison.set(sample);
    const double value = sample.*measure.value;
    if (set == 0 || std::isnan(value)) continue;
    (set == 1 ? first : second).push_back(value);
    (set == 1 ? steps_first : steps_second).insert(sample.step);
    stepped.push_back({value, set == 1, sample.step});
    labelled.push_back({value, set == 1, base::str(sample.step)});
  }
  row.n_first = std::ssize(first), row.n_second = std::ssize(second);
  row.steps =
      std::ranges::count_if(steps_first, [&](int64_t s) { return steps_second.contains(s); });
  const base::RandomStream random(options.seed,
                                  base::str(chain.first, " ", chain.second, " ", comparison.name),
                                  base::str("compare ", measure.name));
  const auto welch = base::welch(first, second), student = base::student(first, second);
  row.difference = welch.difference.estimate;
  row.low = welch.difference.low, row.high = welch.difference.high;
  row.t = welch.t, row.df = welch.df, row.p = welch.p;
  row.t_student = student.t, row.p_student = student.p;
  const auto permuted = base::permutation_test(
      labelled, random, {.draws = options.draws, .most_exact = options.draws});
  row.p_permutation = permuted.p;
  if (std::isnan(row.difference)) row.difference = permuted.difference;
  const auto auc = bootstrap_auc(
      stepped, {options.seed, row.arm + " " + row.pass, base::str("auc ", comparison.name)},
      options.draws);
  row.auc = auc.estimate, row.auc_low = auc.low, row.auc_high = auc.high;
  return row;
}

}  // namespace

std::vector<BucketRow> bucket_table(const std::vector<SampleRow>& samples) {
  std::set<std::string> pools;
  for (const auto& row : samples) pools.insert(row.src_pool);
  std::vector<BucketRow> out;
  for (const auto& chain : chains_of(samples))
    for (const auto& pool : pools)
      for (const bool hacked : {false, true})
        for (const bool passes : {false, true})
          for (const auto& measure : kMeasures) {
            BucketRow row{chain.first, chain.second, pool, hacked, passes, measure.name};
            describe(row, values_of(samples, row, measure.value));
            out.push_back(row);
          }
  return out;
}

std::vector<ComparisonRow> compare_samples(const std::vector<SampleRow>& samples,
                                           const ComparisonOptions& options) {
  std::vector<ComparisonRow> out;
  for (const auto& chain : chains_of(samples))
    for (const auto& comparison : comparisons())
      for (size_t m = 0; m < kCompared; ++m)
        out.push_back(compare(samples, chain, comparison, kMeasures[m], options));
  return out;
}

}  // namespace preimage::grpo
