#include "report/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "preimage/base/random.hpp"
#include "preimage/base/statistics.hpp"
#include "preimage/base/str.hpp"
#include "report/metrics.hpp"

namespace preimage::verifier {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kLengthGroups = 5;

// A way to choose, applied to every test problem. Selectors that differ in their training seed
// alone are reported together.
struct Selector {
  std::string name, arm, loss;
  int64_t seed = -1;                       // -1: needs no training, or the mean over seeds
  bool energy = false;                     // costs are energies
  std::vector<std::vector<double>> costs;  // [test problem][candidate]
  std::vector<int64_t> chosen;
  std::vector<bool> passes;
  std::string family() const { return name + "/" + arm + "/" + loss; }
};

struct TestProblem {
  int64_t problem = 0;  // of the corpus
  std::vector<Choice> choices;
  std::vector<bool> labels;
  std::vector<double> lengths;  // bytes
  eval::PassCount count;
};

std::vector<TestProblem> test_problems(const Corpus& corpus) {
  std::vector<TestProblem> out;
  for (const int64_t p : corpus.of_split(Split::test)) {
    TestProblem test{.problem = p};
    for (const auto& c : corpus.problems[static_cast<size_t>(p)].candidates) {
      test.choices.push_back({c.program, c.tokens, c.logprob_sum, c.outputs, c.passes_shown});
      test.labels.push_back(c.passes);
      test.lengths.push_back(static_cast<double>(c.program.size()));
      test.count.candidates += 1;
      test.count.passing += c.passes ? 1 : 0;
    }
    if (!test.choices.empty()) out.push_back(std::move(test));
  }
  return out;
}

void choose(Selector& selector, const std::vector<TestProblem>& tests, uint64_t seed) {
  for (size_t p = 0; p < tests.size(); ++p) {
    const int64_t chosen = select_lowest(selector.costs[p], tests[p].choices, seed);
    selector.chosen.push_back(chosen);
    selector.passes.push_back(tests[p].labels[static_cast<size_t>(chosen)]);
  }
}

template <class Has>
bool any_choice(const std::vector<TestProblem>& tests, const Has& has) {
  return std::any_of(tests.begin(), tests.end(), [&](const TestProblem& test) {
    return std::any_of(test.choices.begin(), test.choices.end(), has);
  });
}

bool has_logprobs(const std::vector<TestProblem>& tests) {
  return any_choice(tests, [](const Choice& choice) { return choice.tokens > 0; });
}

bool has_outputs(const std::vector<TestProblem>& tests) {
  return any_choice(tests, [](const Choice& choice) { return !choice.outputs.empty(); });
}

bool has_shown_tests(const std::vector<TestProblem>& tests) {
  return any_choice(tests, [](const Choice& choice) { return choice.passes_shown.has_value(); });
}

void add_controls(std::vector<Selector>& out, const std::vector<TestProblem>& tests) {
  for (const auto& name : control_names()) {
    if (name.rfind("logprob", 0) == 0 && !has_logprobs(tests)) continue;
    if (name == "majority" && !has_outputs(tests)) continue;
    if (name == "shown_tests" && !has_shown_tests(tests)) continue;
    Selector selector{.name = name};
    for (const auto& test : tests) selector.costs.push_back(control_costs(name, test.choices));
    out.push_back(std::move(selector));
  }
}

// The mean energy decides among the candidates that pass the shown assertions.
Selector behind_shown_tests(const Selector& mean, const std::vector<TestProblem>& tests) {
  Selector out{"shown_tests_verifier", mean.arm, mean.loss};
  for (size_t p = 0; p < tests.size(); ++p)
    out.costs.push_back(behind_shown_tests(mean.costs[p], tests[p].choices));
  return out;
}

void add_trained(std::vector<Selector>& out, const std::vector<TestProblem>& tests,
                 const std::vector<TrainedScores>& trainings) {
  std::map<std::string, std::pair<Selector, double>> means;  // by arm and loss
  for (const auto& t : trainings) {
    Selector own{"verifier", t.arm, t.loss, t.seed, true};
    Selector blind{"prompt_blind", t.arm, t.loss, t.seed, true};
    for (const auto& test : tests) {
      own.costs.push_back(t.energies[static_cast<size_t>(test.problem)]);
      blind.costs.push_back(t.blind[static_cast<size_t>(test.problem)]);
    }
    auto& [mean, count] =
        means.try_emplace(own.family(), Selector{"verifier_mean", t.arm, t.loss, -1, true}, 0)
            .first->second;
    if (count == 0) mean.costs = own.costs;
    for (size_t p = 0; count > 0 && p < tests.size(); ++p) {
      for (size_t i = 0; i < own.costs[p].size(); ++i) mean.costs[p][i] += own.costs[p][i];
    }
    count += 1;
    out.push_back(std::move(own));
    out.push_back(std::move(blind));
  }
  for (auto& [family, entry] : means) {
    auto& [mean, count] = entry;
    for (auto& problem : mean.costs) {
      for (auto& cost : problem) cost /= count;
    }
    if (has_shown_tests(tests)) out.push_back(behind_shown_tests(mean, tests));
    out.push_back(std::move(mean));
  }
}

// Metrics over one subset of the test problems.
class Table {
 public:
  Table(std::string subset, const std::vector<TestProblem>& tests, std::vector<size_t> kept,
        const EvaluationOptions& options)
      : subset_(std::move(subset)), tests_(tests), kept_(std::move(kept)), options_(options) {
    for (const size_t p : kept_) counts_.push_back(tests_[p].count);
    random_ = eval::random_pass_at_1(counts_);
    oracle_ = eval::oracle_pass_at_1(counts_);
  }

  std::vector<MetricRow> rows(const std::vector<Selector>& selectors);

 private:
  using Family = std::vector<const Selector*>;  // the seeds of one selector
  void add(const Family& family, const std::string& metric, const base::Interval& value);
  void add_baselines();
  void add_selection(const Family& family);
  void add_energies(const Family& family);
  void add_length_groups(const Family& family);
  void add_mcnemar(const Selector& mean, const std::vector<Selector>& selectors);
  std::vector<double> outcomes(const Selector& selector) const;
  std::vector<Ranked> ranked(const Selector& selector) const;
  base::Interval bootstrap(const std::vector<std::vector<double>>& values) const {
    return base::replicate_bootstrap(
        values, {options_.seed, "verifier", "bootstrap over problems"},
        {.draws = options_.bootstrap_draws, .ends = base::PercentileEnds::order_statistics});
  }

  std::string subset_;
  const std::vector<TestProblem>& tests_;
  std::vector<size_t> kept_;
  EvaluationOptions options_;
  std::vector<eval::PassCount> counts_;
  double random_ = 0, oracle_ = 0;
  std::vector<MetricRow> rows_;
};

base::Interval plain(double value) {
  return {value, not_a_number, not_a_number};
}

void Table::add(const Family& family, const std::string& metric, const base::Interval& value) {
  MetricRow row;
  row.subset = subset_;
  row.selector = family.front()->name;
  row.arm = family.front()->arm;
  row.loss = family.front()->loss;
  row.metric = metric;
  row.value = value;
  row.problems = static_cast<int64_t>(kept_.size());
  row.seeds = family.front()->seed < 0 ? 0 : static_cast<int64_t>(family.size());
  rows_.push_back(row);
}

std::vector<double> Table::outcomes(const Selector& selector) const {
  std::vector<double> out;
  for (const size_t p : kept_) out.push_back(selector.passes[p] ? 1 : 0);
  return out;
}

std::vector<Ranked> Table::ranked(const Selector& selector) const {
  std::vector<Ranked> out;
  for (const size_t p : kept_) out.push_back({selector.costs[p], tests_[p].labels});
  return out;
}

void Table::add_baselines() {
  const Selector random{.name = "random"}, oracle{.name = "oracle"};
  std::vector<double> rates, any;
  int64_t fewest = std::numeric_limits<int64_t>::max();
  for (const auto& count : counts_) {
    rates.push_back(eval::pass_at_k(count, 1));
    any.push_back(count.passing > 0 ? 1 : 0);
    fewest = std::min(fewest, count.candidates);
  }
  add({&random}, "pass_at_1", bootstrap({rates}));
  add({&oracle}, "pass_at_1", bootstrap({any}));
  for (int64_t k = 2; k <= fewest; k *= 2)
    add({&random}, base::str("pass_at_", k), plain(eval::mean_pass_at_k(counts_, k)));
}

void Table::add_selection(const Family& family) {
  std::vector<std::vector<double>> passes, gains;
  for (const auto* selector : family) {
    passes.push_back(outcomes(*selector));
    auto& gain = gains.emplace_back(passes.back());
    for (size_t i = 0; i < gain.size(); ++i) gain[i] -= eval::pass_at_k(counts_[i], 1);
  }
  const auto rate = bootstrap(passes);
  add(family, "pass_at_1", rate);
  add(family, "minus_random", bootstrap(gains));
  add(family, "gap_recovered", plain(eval::gap_recovered(rate.estimate, random_, oracle_)));
  if (family.size() == 1) {
    double right = 0;
    for (const double pass : passes.front()) right += pass;
    add(family, "pass_at_1_wilson",
        base::wilson(static_cast<int64_t>(right), static_cast<int64_t>(passes.front().size())));
  }
}

void Table::add_energies(const Family& family) {
  std::vector<std::vector<double>> accuracies;
  double auroc = 0, calibration = 0, correlation = 0, passing = 0, failing = 0;
  std::vector<std::vector<double>> lengths;
  for (const size_t p : kept_) lengths.push_back(tests_[p].lengths);
  for (const auto* selector : family) {
    const auto problems = ranked(*selector);
    auto& own = accuracies.emplace_back();
    double sums[2] = {0, 0}, counts[2] = {0, 0};
    bool bounded = true;
    for (const auto& problem : problems) {
      if (const double accuracy = pairwise_accuracy(problem); !std::isnan(accuracy))
        own.push_back(accuracy);
      for (size_t i = 0; i < problem.energies.size(); ++i) {
        sums[problem.passes[i]] += problem.energies[i], counts[problem.passes[i]] += 1;
        bounded &= problem.energies[i] >= 0 && problem.energies[i] <= 1;
      }
    }
    const auto n = static_cast<double>(family.size());
    auroc += global_auroc(problems) / n;
    correlation += centred_correlation(problems, lengths) / n;
    calibration +=
        bounded ? expected_calibration_error(reliability(problems, options_.calibration_bins)) / n
                : not_a_number;
    failing += sums[0] / counts[0] / n, passing += sums[1] / counts[1] / n;
  }
  add(family, "pairwise_accuracy", bootstrap(accuracies));
  add(family, "auroc_global", plain(auroc));
  add(family, "calibration_error", plain(calibration));
  add(family, "energy_passing", plain(passing));
  add(family, "energy_failing", plain(failing));
  add(family, "length_correlation", plain(correlation));
}

// Share of candidates on the right side of energy 1/2, by fifths of their length.
void Table::add_length_groups(const Family& family) {
  struct Item {
    double length, right;
  };
  std::vector<Item> items;
  for (const auto* selector : family) {
    for (const size_t p : kept_) {
      for (size_t i = 0; i < tests_[p].labels.size(); ++i) {
        const bool low = selector->costs[p][i] < 0.5;
        items.push_back({tests_[p].lengths[i], low == tests_[p].labels[i] ? 1.0 : 0.0});
      }
    }
  }
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.length < b.length; });
  for (int64_t g = 0; g < kLengthGroups; ++g) {
    const size_t begin = items.size() * static_cast<size_t>(g) / kLengthGroups;
    const size_t end = items.size() * static_cast<size_t>(g + 1) / kLengthGroups;
    double right = 0;
    for (size_t i = begin; i < end; ++i) right += items[i].right;
    add(family, base::str("accuracy_length_", g + 1),
        plain(end > begin ? right / static_cast<double>(end - begin) : not_a_number));
  }
}

void Table::add_mcnemar(const Selector& mean, const std::vector<Selector>& selectors) {
  const auto own = outcomes(mean);
  for (const auto& other : selectors) {
    if (other.energy || other.family() == mean.family()) continue;
    const auto theirs = outcomes(other);
    int64_t only_own = 0, only_theirs = 0;
    for (size_t i = 0; i < own.size(); ++i) {
      only_own += own[i] > theirs[i] ? 1 : 0;
      only_theirs += theirs[i] > own[i] ? 1 : 0;
    }
    add({&mean}, "mcnemar_" + other.name, plain(base::mcnemar_exact(only_own, only_theirs)));
  }
}

std::vector<MetricRow> Table::rows(const std::vector<Selector>& selectors) {
  if (kept_.empty()) return {};
  add_baselines();
  std::vector<std::string> order;
  std::map<std::string, Family> families;
  for (const auto& selector : selectors) {
    auto& family = families[selector.family()];
    if (family.empty()) order.push_back(selector.family());
    family.push_back(&selector);
  }
  for (const auto& name : order) {
    const auto& family = families.at(name);
    add_selection(family);
    const auto& first = *family.front();
    if (first.name == "verifier_mean" || first.name == "shown_tests_verifier")
      add_mcnemar(first, selectors);
    if (!first.energy) continue;
    add_energies(family);
    add_length_groups(family);
  }
  return std::move(rows_);
}

std::vector<SelectionRow> selection_rows(const Corpus& corpus,
                                         const std::vector<TestProblem>& tests,
                                         const std::vector<Selector>& selectors) {
  std::vector<SelectionRow> out;
  for (const auto& selector : selectors) {
    for (size_t p = 0; p < tests.size(); ++p) {
      SelectionRow row;
      row.selector = selector.name;
      row.arm = selector.arm;
      row.loss = selector.loss;
      row.seed = selector.seed;
      row.problem_id = corpus.problems[static_cast<size_t>(tests[p].problem)].id;
      row.candidate = selector.chosen[p];
      row.cost = selector.costs[p][static_cast<size_t>(selector.chosen[p])];
      row.passes = selector.passes[p];
      row.passing = tests[p].count.passing;
      row.candidates = tests[p].count.candidates;
      out.push_back(row);
    }
  }
  return out;
}

}  // namespace

Evaluation evaluate(const Corpus& corpus, const std::vector<TrainedScores>& trainings,
                    const EvaluationOptions& options) {
  const auto tests = test_problems(corpus);
  std::vector<Selector> selectors;
  add_controls(selectors, tests);
  add_trained(selectors, tests, trainings);
  for (auto& selector : selectors) choose(selector, tests, options.seed);
  std::vector<size_t> all, mixed;
  for (size_t p = 0; p < tests.size(); ++p) {
    all.push_back(p);
    if (tests[p].count.passing > 0 && tests[p].count.passing < tests[p].count.candidates)
      mixed.push_back(p);
  }
  Evaluation out;
  out.selection = selection_rows(corpus, tests, selectors);
  out.metrics = Table("all", tests, all, options).rows(selectors);
  auto second = Table("mixed", tests, mixed, options).rows(selectors);
  std::move(second.begin(), second.end(), std::back_inserter(out.metrics));
  return out;
}

}  // namespace preimage::verifier
