#include "report/gates.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"

namespace preimage::dcm {
namespace {

using base::str;

// A rate over pairs with both its intervals.
struct Rate {
  base::Clustered data;
  int64_t hits = 0;

  void add(const std::string& article, bool hit) {
    data.values.push_back(hit ? 1 : 0);
    data.clusters.push_back(article);
    hits += hit ? 1 : 0;
  }
  int64_t count() const { return static_cast<int64_t>(data.values.size()); }
  double estimate() const { return static_cast<double>(hits) / static_cast<double>(count()); }
  void into(GateResult& gate, uint64_t seed) const {
    gate.used = count();
    gate.value = base::wilson(hits, count());
    gate.by_article = base::cluster_bootstrap(data, {seed, "dcm", "cluster bootstrap"});
  }
};

template <class Holds>
Rate rate_of(std::span<const JointOutcome> pairs, Holds holds) {
  Rate rate;
  for (const auto& pair : pairs) rate.add(pair.article, holds(pair));
  return rate;
}

std::span<const JointOutcome> first(std::span<const JointOutcome> pairs, int64_t count) {
  return pairs.first(std::min(pairs.size(), static_cast<size_t>(count)));
}

bool converged(const JointOutcome& pair) {
  return pair.conv;
}
bool baseline_converged(const JointOutcome& pair) {
  return pair.conv_by_baseline;
}

// "0.8125", "0.3333": a rate in a sentence.
std::string rounded(double value) {
  return str(std::round(1e4 * value) / 1e4);
}

// What a gate of conv that passes, and passes for the baselines too, comes to.
void without_evidence(GateResult& gate, double baseline_rate) {
  gate.verdict = Verdict::no_evidence;
  gate.finding +=
      str("; but a baseline alone meets the rule of conv at a rate of ", rounded(baseline_rate));
  gate.action = "conv tells no solution from a baseline here: judge by tight and exact";
}

// A stop gate: fails when the rate of conv among the first `asked` pairs is below `threshold`.
GateResult gate_first(std::span<const JointOutcome> pairs, GateResult gate, uint64_t seed) {
  const auto looked_at = first(pairs, gate.asked);
  rate_of(looked_at, converged).into(gate, seed);
  const auto behind = str(" among the first ", gate.asked, " joint pairs");
  gate.predicate = str("conv < ", gate.threshold, behind);
  const bool reached = gate.used >= gate.asked;
  const bool low = gate.value.estimate < gate.threshold;
  gate.verdict = !reached ? Verdict::not_reached : low ? Verdict::fail : Verdict::pass;
  gate.finding = reached ? str("conv ", rounded(gate.value.estimate),
                               low ? " < " : " >= ", gate.threshold, behind)
                         : str(gate.used, " of the ", gate.asked, " joint pairs it asks for");
  if (gate.verdict != Verdict::fail) gate.action.clear();
  const double by_baseline = rate_of(looked_at, baseline_converged).estimate();
  if (gate.verdict == Verdict::pass && by_baseline >= gate.threshold)
    without_evidence(gate, by_baseline);
  return gate;
}

// A warning gate: fails when more than `threshold` of the pairs show `what`.
GateResult finish_warning(GateResult gate, const std::string& what, const std::string& action) {
  if (gate.used == 0) return gate;
  const bool more = gate.value.estimate > gate.threshold;
  gate.verdict = more ? Verdict::fail : Verdict::pass;
  gate.finding = str(what, " for ", rounded(gate.value.estimate), " of the pairs, ",
                     more ? "more" : "not more", " than ", gate.threshold);
  if (more) gate.action = action;
  return gate;
}

struct Level {
  const char* name;
  double conv, loss_ratio, balance;
  bool holds(const TableMeasures& m) const {
    return m.conv > conv && m.loss_ratio < loss_ratio && m.balance_q < balance &&
           m.balance_a < balance;
  }
};
constexpr Level levels[] = {
    {"minimum", 0.40, 0.40, 2.0}, {"good", 0.70, 0.25, 1.5}, {"excellent", 0.90, 0.15, 1.2}};

// "conv 0.9375 > 0.7, L/R 0.01 < 0.25, L/F of Q 0.2 < 1.5, of A 1.8 >= 1.5"
std::string compared(const TableMeasures& m, const Level& level) {
  const auto below = [](double value, double bound) {
    return str(rounded(value), value < bound ? " < " : " >= ", bound);
  };
  return str("conv ", rounded(m.conv), m.conv > level.conv ? " > " : " <= ", level.conv, ", L/R ",
             below(m.loss_ratio, level.loss_ratio), ", L/F of Q ",
             below(m.balance_q, level.balance), ", of A ", below(m.balance_a, level.balance));
}

}  // namespace

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
      return "pass";
    case Verdict::fail:
      return "fail";
    case Verdict::inconclusive:
      return "inconclusive";
    case Verdict::no_evidence:
      return "no_evidence";
    case Verdict::not_reached:
      return "not_reached";
  }
  return "";
}

void GateOptions::fields(base::Fields& f) {
  f.add(
      "mode", mode,
      {.help = "record: gates are written down only; enforce: a failed G1, G2 or G3 ends the run, "
               "and where paraphrases are given a failed G3 (before it ends the run) or G4 runs "
               "the paraphrase stage, once",
       .choices = {"record", "enforce"}});
  const auto rate = [&f](const char* field, double& value, const char* help) {
    f.add(field, value, {.help = help, .min = 0, .max = 1});
  };
  rate("g1_single_conv", g1_single_conv, "G1 fails below this conv rate of single targets");
  f.add("g2_pairs", g2_pairs,
        {.help = "G2 looks at the first this many joint pairs",
         .unit = "pairs",
         .min = 1,
         .max = 1e9});
  rate("g2_conv", g2_conv, "G2 fails below this conv rate");
  f.add("g3_pairs", g3_pairs,
        {.help = "G3 looks at the first this many joint pairs",
         .unit = "pairs",
         .min = 1,
         .max = 1e9});
  rate("g3_conv", g3_conv, "G3 fails below this conv rate; from here to g6_conv is inconclusive");
  f.add("g4_correlation", g4_correlation,
        {.help = "losses anti-correlate where the changes correlate below this",
         .min = -1,
         .max = 1});
  rate("g4_negative", g4_negative,
       "... and where more than this fraction of steps has opposed gradients");
  rate("g4_pairs", g4_pairs, "G4 fails when more than this fraction of pairs anti-correlates");
  f.add("g5_loss", g5_loss,
        {.help = "a total loss below this counts as zero", .unit = "nats", .min = 0, .max = 1});
  rate("g5_pairs", g5_pairs, "G5 fails when more than this fraction of pairs has zero loss");
  rate("g6_conv", g6_conv, "G6 passes above this conv rate");
  rate("spot_pass", spot_pass, "spot passes above this Pass rate among converged pairs");
  f.add(
      "spot_cases", spot_cases,
      {.help = "converged pairs shown for reading by hand", .unit = "pairs", .min = 0, .max = 1e6});
}

base::ConfigErrors GateOptions::check(const std::string& prefix) const {
  base::ConfigErrors errors;
  if (g3_conv > g6_conv) {
    errors.push_back(str("\"", prefix, "g3_conv\": found ", g3_conv, ", expected at most ", prefix,
                         "g6_conv (", g6_conv, "), for between the two lies \"inconclusive\""));
  }
  if (g2_pairs > g3_pairs) {
    errors.push_back(str("\"", prefix, "g2_pairs\": found ", g2_pairs, ", expected at most ",
                         prefix, "g3_pairs (", g3_pairs, "): G2 is the earlier gate"));
  }
  return errors;
}

GateResult gate_single(std::span<const SingleOutcome> pairs, const GateOptions& options,
                       uint64_t seed) {
  GateResult gate{.gate = "G1", .threshold = options.g1_single_conv};
  gate.predicate = str("single-target conv < ", gate.threshold, ", questions and answers averaged");
  Rate both, baselines;
  int64_t hits_q = 0, hits_a = 0;
  for (const auto& pair : pairs) {
    both.add(pair.article, pair.conv_q);
    both.add(pair.article, pair.conv_a);
    baselines.add(pair.article, pair.baseline_q);
    baselines.add(pair.article, pair.baseline_a);
    hits_q += pair.conv_q ? 1 : 0;
    hits_a += pair.conv_a ? 1 : 0;
  }
  both.into(gate, seed);
  gate.used = static_cast<int64_t>(pairs.size());
  if (pairs.empty()) return gate;
  gate.detail =
      str("questions ", hits_q, " of ", gate.used, ", answers ", hits_a, " of ", gate.used);
  const bool low = gate.value.estimate < gate.threshold;
  gate.verdict = low ? Verdict::fail : Verdict::pass;
  gate.finding = str("single-target conv ", rounded(gate.value.estimate),
                     low ? " < " : " >= ", gate.threshold, ", questions and answers averaged");
  if (low) {
    gate.action = "stop and investigate the model, the learning rate and the label alignment";
  } else if (baselines.estimate() >= gate.threshold) {
    without_evidence(gate, baselines.estimate());
  }
  return gate;
}

GateResult gate_early(std::span<const JointOutcome> pairs, const GateOptions& options,
                      uint64_t seed) {
  return gate_first(pairs,
                    {.gate = "G2",
                     .asked = options.g2_pairs,
                     .threshold = options.g2_conv,
                     .action = "stop; investigate the model and the hyperparameters"},
                    seed);
}

GateResult gate_viable(std::span<const JointOutcome> pairs, const GateOptions& options,
                       uint64_t seed) {
  return gate_first(pairs,
                    {.gate = "G3",
                     .asked = options.g3_pairs,
                     .threshold = options.g3_conv,
                     .action = "the approach fails with this model: use the paraphrase objective "
                               "once and run again"},
                    seed);
}

GateResult gate_conflict(std::span<const JointOutcome> pairs, const GateOptions& options,
                         uint64_t seed) {
  GateResult gate{.gate = "G4", .threshold = options.g4_pairs};
  gate.predicate = str("Q and A losses anti-correlate (r_d < ", options.g4_correlation,
                       " and kappa < 0 at more than ", options.g4_negative,
                       " of the steps) for more than ", gate.threshold, " of the pairs");
  Rate rate;
  for (const auto& pair : pairs) {
    if (pair.conflict_known) rate.add(pair.article, pair.anti_correlate);
  }
  rate.into(gate, seed);
  gate.detail = str("r_d is known for ", gate.used, " of ", pairs.size(), " pairs");
  if (gate.used < std::ssize(pairs)) gate.detail += ", the others took too few steps";
  return finish_warning(std::move(gate), "Q and A losses anti-correlate",
                        "use the paraphrase objective");
}

GateResult gate_zero_loss(std::span<const JointOutcome> pairs, const GateOptions& options,
                          uint64_t seed) {
  GateResult gate{.gate = "G5", .threshold = options.g5_pairs};
  gate.predicate =
      str("L_Q + L_A < ", options.g5_loss, " nats for more than ", gate.threshold, " of the pairs");
  rate_of(pairs, [&](const JointOutcome& pair) {
    return pair.loss_q + pair.loss_a < options.g5_loss;
  }).into(gate, seed);
  return finish_warning(std::move(gate), str("L_Q + L_A < ", options.g5_loss, " nats"),
                        "check for leakage of the target into its own prompt and for "
                        "degenerate targets");
}

GateResult gate_success(std::span<const JointOutcome> pairs, const GateOptions& options,
                        uint64_t seed) {
  GateResult gate{.gate = "G6", .threshold = options.g6_conv};
  gate.predicate = str("conv > ", options.g6_conv, "; below ", options.g3_conv,
                       " it fails, between the two it is left open");
  rate_of(pairs, converged).into(gate, seed);
  if (gate.used == 0) return gate;
  gate.finding = "conv " + rounded(gate.value.estimate);
  if (gate.value.estimate > options.g6_conv) {
    gate.verdict = Verdict::pass;
    gate.finding += str(" > ", options.g6_conv);
    gate.action = "go on to the deeper analysis";
    const double by_baseline = rate_of(pairs, baseline_converged).estimate();
    if (by_baseline > options.g6_conv) without_evidence(gate, by_baseline);
  } else if (gate.value.estimate < options.g3_conv) {
    gate.verdict = Verdict::fail;
    gate.finding += str(" < ", options.g3_conv);
    gate.action = "do not go on with this model";
  } else {
    gate.verdict = Verdict::inconclusive;
    gate.finding += str(", from ", options.g3_conv, " to ", options.g6_conv);
    gate.action = "more pairs, or other hyperparameters, before a decision";
  }
  return gate;
}

GateResult gate_spot(std::span<const JointOutcome> pairs, const GateOptions& options,
                     uint64_t seed) {
  GateResult gate{.gate = "spot", .threshold = options.spot_pass};
  gate.predicate = str("Pass > ", options.spot_pass, " among the converged pairs");
  Rate rate;
  for (const auto& pair : pairs) {
    if (pair.conv) rate.add(pair.article, pair.passed);
  }
  rate.into(gate, seed);
  if (gate.used == 0) return gate;
  gate.detail = str(rate.hits, " of ", gate.used, " converged pairs");
  const bool high = gate.value.estimate > gate.threshold;
  gate.verdict = high ? Verdict::pass : Verdict::fail;
  gate.finding = str("Pass ", rounded(gate.value.estimate), high ? " > " : " <= ", gate.threshold,
                     " among the converged pairs");
  if (!high) gate.action = "degenerate solutions: low loss does not mean good text here";
  return gate;
}

TableMeasures baseline_measures(std::span<const JointOutcome> pairs) {
  std::vector<JointOutcome> baselines(pairs.begin(), pairs.end());
  for (auto& pair : baselines) {
    pair.conv = pair.conv_by_baseline;
    pair.loss_q = pair.single_q, pair.loss_a = pair.single_a;
  }
  return table_measures(baselines);
}

TableMeasures table_measures(std::span<const JointOutcome> pairs) {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  if (pairs.empty()) return {none, none, none, none};
  double conv = 0, ratio = 0, loss_q = 0, loss_a = 0, full_q = 0, full_a = 0;
  for (const auto& pair : pairs) {
    conv += pair.conv ? 1 : 0;
    ratio += (pair.loss_q + pair.loss_a) / (pair.random_q + pair.random_a);
    loss_q += pair.loss_q;
    loss_a += pair.loss_a;
    full_q += pair.full_q;
    full_a += pair.full_a;
  }
  const auto n = static_cast<double>(pairs.size());
  return {conv / n, ratio / n, loss_q / full_q, loss_a / full_a};
}

std::vector<GateResult> gate_table(std::span<const JointOutcome> pairs, uint64_t seed) {
  const auto measures = table_measures(pairs), of_baseline = baseline_measures(pairs);
  std::vector<GateResult> out;
  for (const auto& level : levels) {
    GateResult gate{.gate = str("table.", level.name), .threshold = level.conv};
    gate.predicate = str("conv > ", level.conv, ", mean (L_Q+L_A)/(R_Q+R_A) < ", level.loss_ratio,
                         ", mean L < ", level.balance, " x mean F for Q and for A: all of them");
    rate_of(pairs, converged).into(gate, seed);
    if (gate.used > 0) {
      gate.verdict = level.holds(measures) ? Verdict::pass : Verdict::fail;
      gate.finding = compared(measures, level);
      if (level.holds(measures) && level.holds(of_baseline))
        without_evidence(gate, of_baseline.conv);
      gate.detail = str("conv ", measures.conv, ", L/R ", measures.loss_ratio, ", L/F of Q ",
                        measures.balance_q, ", of A ", measures.balance_a);
    }
    out.push_back(std::move(gate));
  }
  return out;
}

std::vector<GateResult> joint_gates(std::span<const JointOutcome> pairs, const GateOptions& options,
                                    uint64_t seed) {
  std::vector<GateResult> out = {
      gate_early(pairs, options, seed), gate_viable(pairs, options, seed),
      gate_conflict(pairs, options, seed), gate_zero_loss(pairs, options, seed),
      gate_success(pairs, options, seed)};
  for (auto& gate : gate_table(pairs, seed)) out.push_back(std::move(gate));
  out.push_back(gate_spot(pairs, options, seed));
  return out;
}

std::vector<int64_t> spot_cases(std::span<const JointOutcome> pairs, int64_t count) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < pairs.size() && static_cast<int64_t>(out.size()) < count; ++i) {
    if (pairs[i].conv) out.push_back(static_cast<int64_t>(i));
  }
  return out;
}

}  // namespace preimage::dcm
