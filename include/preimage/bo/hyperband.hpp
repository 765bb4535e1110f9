// Hyperband (Li et al., JMLR 18(185), 2018) over numbers of items, as Schneider et al. (2025,
// "Hyperband-based Bayesian optimization for black-box prompt selection") use it. All integers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "preimage/base/config.hpp"
#include "preimage/base/random.hpp"

namespace preimage::bo {

struct HyperbandOptions {
  int64_t min_items = 10;  // smallest fidelity (bmin)
  int64_t eta = 2;
  std::string levels = "exact";     // "exact" | "truncated" | "ascending"
  std::string proposals = "paper";  // "paper" | "min_pct" | "all_fidelities" | "random"
  double min_fidelity_pct = 0.75;   // min_pct: share of all items that a model's data needs
  int64_t min_observations = 4;     // of a level, before it gets a model
  double random_interleaving = 0.1;
  void fields(base::Fields& f);
  // Rules between fields; `items` is the number of items in all, `prefix` starts every name.
  base::ConfigErrors check(int64_t items, const std::string& prefix) const;
};

struct HyperbandStage {
  int64_t candidates = 0;  // kept before this stage evaluates
  int64_t items = 0;       // fidelity: each candidate's first `items` items
};
struct HyperbandBracket {
  int64_t s = 0;
  std::vector<HyperbandStage> stages;  // s + 1 of them
};

// Brackets s_max ... 0. With S = s_max + 1 brackets: n_s = ceil(S eta^s / (s + 1)), stage i keeps
// floor(n_s / eta^i) candidates and evaluates them on
//   exact      floor(items / eta^(s - i))            (the paper; its last stage is on all items)
//   truncated  floor(floor(items / eta^s) eta^i)     (the original program: only s = 0 ends on all)
//   ascending  min_items eta^i                       (as the plan writes it)
// items. n_s is at most `pool`.
std::vector<HyperbandBracket> hyperband_brackets(int64_t items, int64_t pool,
                                                 const HyperbandOptions& options);

// Model calls of a schedule when nothing is shared between brackets: each stage from zero, or each
// stage extending the candidates' evaluations of the stage before.
int64_t calls_from_zero(std::span<const HyperbandBracket> brackets);
int64_t calls_with_extension(std::span<const HyperbandBracket> brackets);

// A candidate's evaluation at one fidelity: wrong answers among its first `items` items.
struct ErrorCount {
  int64_t candidate = 0;
  int64_t wrong = 0;
  int64_t items = 0;
  double error() const { return static_cast<double>(wrong) / static_cast<double>(items); }
};

// The `count` of lowest error (compared exactly, as fractions), ties by the smaller candidate; in
// that order.
std::vector<ErrorCount> keep_best(std::vector<ErrorCount> evaluations, int64_t count);

// What was counted so far, by candidate and fidelity.
class ErrorCounts {
 public:
  void add(const ErrorCount& evaluation);  // throws a bug where it contradicts what is there
  std::optional<ErrorCount> find(int64_t candidate, int64_t items) const;
  // The largest fidelity of the candidate that is at most `items`; an evaluation with 0 items where
  // there is none. The calls still needed are items - below(...).items.
  ErrorCount below(int64_t candidate, int64_t items) const;
  // `wrong` more among the items after those of below(candidate, items); added and returned.
  ErrorCount extend(int64_t candidate, int64_t items, int64_t wrong);
  // All evaluations at one fidelity, by candidate.
  std::vector<ErrorCount> level(int64_t items) const;
  std::vector<int64_t> levels() const;  // ascending
  // The evaluation of each candidate at its largest fidelity, by candidate.
  std::vector<ErrorCount> latest() const;

 private:
  std::map<int64_t, std::map<int64_t, int64_t>> wrong_;  // candidate -> items -> wrong
};

// The evaluations that a model may be fitted to, or none:
//   paper    those of the highest fidelity that has min_observations of them
//   min_pct  of the candidates' highest fidelities, those of at least int(min_fidelity_pct items)
//            items, where there are min_observations of them
//   all_fidelities  the candidates' highest fidelities, where there are min_observations of them
//   random          none
std::vector<ErrorCount> model_observations(const ErrorCounts& counts, int64_t items,
                                           const HyperbandOptions& options);

// One proposal of a bracket. `free` are the candidates that the bracket has not proposed,
// ascending; `scores` [free] their expected improvements, empty without a model. With probability
// random_interleaving (or without a model) any of them, else the one of the highest score, ties by
// the smaller candidate. Proposal p of the run draws elements 2p and 2p + 1 of `random`.
struct Proposal {
  int64_t candidate = 0;
  bool by_model = false;
};
Proposal propose(std::span<const int64_t> free, std::span<const double> scores,
                 const base::RandomStream& random, uint64_t number,
                 const HyperbandOptions& options);

// The incumbent: lowest error at full fidelity, ties by the smaller candidate.
std::optional<ErrorCount> incumbent(const ErrorCounts& counts, int64_t items);

}  // namespace preimage::bo
