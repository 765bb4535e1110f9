#include "report/results.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "preimage/base/statistics.hpp"
#include "report/diversity.hpp"

namespace preimage::ips {
namespace {

std::string ids_text(const Setup& setup, const std::string& prompt) {
  return base::Json(model_input(setup, prompt).ids).dump();
}

EvaluationRow evaluation_row(const ResultsInput& in, int64_t target, const Terms& terms,
                             const std::string& prompt) {
  EvaluationRow row;
  row.target_id = in.setup.targets[static_cast<size_t>(target)].id;
  row.prompt = prompt;
  row.prompt_ids = ids_text(in.setup, prompt);
  row.terms = terms;
  row.fitness = in.fit(target, terms);
  const auto verdict = in.verdict(target, terms);
  row.level = verdict.level, row.failed = verdict.failed(), row.accepted = verdict.holds();
  return row;
}

void add_evaluations(const ResultsInput& in, store::UnitOutput& out) {
  auto& rows = out.rows[table::evaluations];
  for (size_t i = 0; i < in.manual.size(); ++i) {
    const auto& one = in.setup.hand[i];
    auto row = evaluation_row(in, one.target, *in.manual[i], one.text);
    row.method = "manual", row.seed = -1, row.operation = "hand", row.parents = "[]";
    row.index = static_cast<int64_t>(i);
    rows.push_back(store::to_row(row));
  }
  for (const auto& search : in.searches) {
    const auto& id = search->identity();
    for (size_t i = 0; i < search->evaluations().size(); ++i) {
      const auto& one = search->evaluations()[i];
      auto row = evaluation_row(in, id.target, *one.terms, one.ask.text);
      row.method = id.method, row.seed = id.seed, row.generation = one.generation;
      row.index = static_cast<int64_t>(i);
      row.operation = one.ask.operation, row.parents = base::Json(one.ask.parents).dump();
      row.cache_hit = one.cache_hit, row.calls = one.calls;
      rows.push_back(store::to_row(row));
    }
  }
}

void add_targets(const ResultsInput& in, store::UnitOutput& out) {
  for (size_t t = 0; t < in.setup.targets.size(); ++t) {
    const auto& target = in.setup.targets[t];
    TargetRow row{target.id, target.language, target.license, target.code};
    row.tokens = std::ssize(target.ids), row.stated_tokens = target.stated_tokens;
    row.most_tokens = target.most_tokens, row.corridor_low = target.corridor_low;
    row.probes = std::ssize(in.facts[t].probes);
    row.bits = in.facts[t].bits, row.gzip_bytes = in.facts[t].gzip_bytes;
    row.best_manual = row.noise_ceiling = kUndefined;
    bool accepted = false;
    for (size_t i = 0; i < in.manual.size(); ++i) {
      if (in.setup.hand[i].target != static_cast<int64_t>(t)) continue;
      const auto fit = in.fit(static_cast<int64_t>(t), *in.manual[i]);
      row.best_manual = row.hand_prompts == 0 ? fit.match : std::max(row.best_manual, fit.match);
      ++row.hand_prompts;
      accepted = accepted || in.verdict(static_cast<int64_t>(t), *in.manual[i]).holds();
    }
    for (size_t i = 0; i < in.negative_terms.size(); ++i) {
      const auto& test = in.negatives[i];
      if (test.target != static_cast<int64_t>(t) || test.test != "noise") continue;
      const double match = in.fit(test.target, *in.negative_terms[i]).match;
      row.noise_ceiling =
          std::isnan(row.noise_ceiling) ? match : std::max(row.noise_ceiling, match);
    }
    row.verdict = row.hand_prompts == 0                                ? "untried"
                  : accepted                                           ? "feasible"
                  : row.best_manual >= in.setup.config.decide.simplify ? "simplify"
                                                                       : "drop";
    out.rows[table::targets].push_back(store::to_row(row));
  }
}

void add_accepted(const ResultsInput& in, store::UnitOutput& out) {
  std::vector<std::string> prompts;
  const double token_bits = std::log2(static_cast<double>(in.setup.model.tokenizer.vocab_size()));
  for (size_t i = 0; i < in.found.size(); ++i) {
    const auto& one = in.found[i];
    const auto& repeats = in.repeats[i];
    const auto& target = in.setup.targets[static_cast<size_t>(one.target)];
    AcceptedRow row{target.id, one.method, one.seed, one.index, one.calls, one.prompt};
    row.prompt_ids = ids_text(in.setup, one.prompt);
    row.completion = repeats.text;
    row.completion_ids = base::Json(repeats.ids).dump();
    row.terms = *one.terms;
    row.fitness = in.fit(one.target, *one.terms);
    row.level = in.verdict(one.target, *one.terms).level;
    row.ratio = static_cast<double>(target.ids.size()) /
                static_cast<double>(std::max<int64_t>(1, one.terms->prompt_tokens));
    row.prompt_bits = token_bits * static_cast<double>(one.terms->prompt_tokens);
    row.batches = base::Json(repeats.batches).dump();
    row.repeats_equal = repeats.equal() && repeats.hashes.front() == one.terms->hash;
    row.accepted = row.repeats_equal;
    out.rows[table::accepted].push_back(store::to_row(row));
    prompts.push_back(one.prompt);
  }
  for (auto& vector : (*in.setup.embedding)(prompts)) {
    const auto size = std::ssize(vector);
    out.tensors[tensor::embeddings].push_back({{size}, std::move(vector)});
  }
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? kUndefined : sum / static_cast<double>(values.size());
}

Calibration calibrate(const Setup& setup) {
  std::vector<std::string> texts;
  for (const auto& one : setup.hand) texts.push_back(one.text);
  const auto vectors = (*setup.embedding)(texts);
  std::vector<double> same, other;
  for (size_t i = 0; i < vectors.size(); ++i) {
    for (size_t j = i + 1; j < vectors.size(); ++j)
      (setup.hand[i].target == setup.hand[j].target ? same : other)
          .push_back(1 - cosine(vectors[i], vectors[j]));
  }
  std::sort(same.begin(), same.end());
  return {same.empty() ? kUndefined : base::percentile(same, 0.9), mean(other)};
}

}  // namespace

SummaryRow summary_row(const ResultsInput& in, const SearchRecord& search) {
  const auto& id = search.identity();
  SummaryRow row{in.setup.targets[static_cast<size_t>(id.target)].id, id.method, id.seed};
  const auto& counts = search.counts();
  row.calls_requested = counts.requested, row.calls_executed = counts.executed;
  row.cache_hits = counts.cache_hits, row.nll_passes = counts.nll_passes;
  row.gradient_calls = counts.gradients, row.proposal_calls = counts.proposals;
  row.generations = search.generations();
  row.calls_to_success = search.calls_to_success();
  row.generations_to_success = search.generations_to_success();
  row.censored = row.calls_to_success < 0;
  row.successes = std::ssize(search.successes());
  row.stop_rule = search.stop_rule();
  for (const auto& one : search.evaluations()) {
    if (!one.terms->decoded) continue;
    const auto fit = in.fit(id.target, *one.terms);
    if (fit.value <= row.best_fitness) continue;  // false for the first, whose rival is NaN
    row.best_fitness = fit.value, row.best_match = fit.match;
    row.best_prompt = one.ask.text, row.best_tokens = one.terms->prompt_tokens;
    row.level = in.verdict(id.target, *one.terms).level;
  }
  return row;
}

std::vector<NegativeRow> negative_rows(const ResultsInput& in) {
  std::vector<NegativeRow> out;
  for (size_t i = 0; i < in.negative_terms.size(); ++i) {
    const auto& test = in.negatives[i];
    const auto& terms = *in.negative_terms[i];
    const auto verdict = in.verdict(test.target, terms);
    NegativeRow row{in.setup.targets[static_cast<size_t>(test.target)].id, test.test, test.prompt};
    row.prompt_tokens = terms.prompt_tokens;
    row.match = in.fit(test.target, terms).match;
    row.level = verdict.level, row.failed = verdict.failed();
    row.accepted = verdict.holds();
    row.as_expected = as_expected(test, verdict);
    out.push_back(row);
  }
  return out;
}

// Of each method's accepted prompts and of all together; prompts by hand are no search's.
std::vector<DiversityRow> diversity_rows(const ResultsInput& in) {
  const auto calibration = calibrate(in.setup);
  std::vector<DiversityRow> out;
  std::vector<std::string> methods = {"all"};
  for (const auto& name : in.setup.config.search.methods) methods.push_back(name);
  for (int64_t t = 0; t < std::ssize(in.setup.targets); ++t) {
    for (const auto& method : methods) {
      PromptSet set{in.setup.targets[static_cast<size_t>(t)].id, method, {}, {}};
      std::set<std::string> seen;
      for (size_t i = 0; i < in.found.size(); ++i) {
        const auto& one = in.found[i];
        const bool wanted = one.target == t && one.method != "manual" &&
                            (method == "all" || one.method == method) && in.repeats[i].equal();
        if (wanted && seen.insert(one.prompt).second) set.texts.push_back(one.prompt);
      }
      if (set.texts.empty()) continue;
      set.vectors = (*in.setup.embedding)(set.texts);
      out.push_back(diversity(set, calibration, in.setup.config.diversity, in.setup.seed));
    }
  }
  return out;
}

store::UnitOutput make_results(const ResultsInput& in) {
  store::UnitOutput out;
  add_targets(in, out);
  add_evaluations(in, out);
  add_accepted(in, out);
  for (const auto& search : in.searches)
    out.rows[table::summary].push_back(store::to_row(summary_row(in, *search)));
  for (const auto& search : in.searches) {
    const auto& id = search->identity();
    for (const auto& u : search->arm().updates()) {
      RlTrainingRow row{in.setup.targets[static_cast<size_t>(id.target)].id, id.method, id.seed};
      row.update = u.update, row.epochs = u.epochs, row.episode_return = u.episode_return;
      row.policy_loss = u.policy_loss, row.value_loss = u.value_loss, row.entropy = u.entropy;
      row.divergence = u.divergence, row.gradient_norm = u.gradient_norm;
      out.rows[table::rl_training].push_back(store::to_row(row));
    }
  }
  for (const auto& row : negative_rows(in)) out.rows[table::negative].push_back(store::to_row(row));
  for (const auto& row : diversity_rows(in))
    out.rows[table::diversity].push_back(store::to_row(row));
  return out;
}

}  // namespace preimage::ips
