#include "search.hpp"

#include <algorithm>
#include <cmath>

#include "arms/make_arm.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/statistics.hpp"
#include "preimage/base/str.hpp"
#include "report/results.hpp"

namespace preimage::ips {
namespace {

// What is known of a prompt whose unit ended its rank three times: that it is of no use.
Terms useless() {
  Terms terms;
  terms.nll = 1e3;
  terms.prompt_nll = 1e3;
  terms.stop = "quarantined";
  return terms;
}

}  // namespace

IpsSearch::IpsSearch(run::Context& context, std::unique_ptr<const Setup> setup)
    : context_(context), setup_(std::move(setup)), runner_(*setup_) {
  facts_.resize(setup_->targets.size());
}

std::vector<run::Unit> IpsSearch::units_of_stage() {
  std::vector<run::Unit> units;
  switch (stage_) {
    case Stage::targets:
      for (int64_t t = 0; t < std::ssize(setup_->targets); ++t)
        units.push_back(target_unit(*setup_, t));
      break;
    case Stage::manual:
      for (const auto& one : setup_->hand)
        units.push_back(evaluate_unit(*setup_, one.target, one.text));
      break;
    case Stage::searches:
      return search_units();
    case Stage::checks:
      return check_units();
    case Stage::done:
      break;
  }
  return units;
}

std::vector<run::Unit> IpsSearch::ask(int64_t) {
  for (;;) {
    auto units = units_of_stage();
    if (!units.empty() || stage_ == Stage::done) return units;
    if (stage_ == Stage::manual) start_searches();
    stage_ = static_cast<Stage>(static_cast<int>(stage_) + 1);
  }
}

std::vector<run::Unit> IpsSearch::search_units() {
  std::vector<run::Unit> units;
  asked_.clear();
  for (size_t s = 0; s < searches_.size(); ++s) {
    auto& search = *searches_[s];
    if (!search.active()) continue;
    const auto& id = search.identity();
    std::map<std::string, run::Unit> own;
    search.ask([&](const Ask& ask) {
      auto unit = unit_of(*setup_, {id.target, id.method, id.seed}, ask);
      auto name = unit.id;
      own.try_emplace(name, std::move(unit));
      return name;
    });
    if (search.granted().asks.empty()) continue;
    asked_.push_back(s);
    for (const auto& unit : search.granted().unit_ids) units.push_back(own.at(unit));
  }
  return units;
}

std::vector<run::Unit> IpsSearch::check_units() {
  found_ = found_prompts();
  std::vector<run::Unit> units;
  for (const auto& one : found_) units.push_back(repeat_unit(*setup_, one.target, one.prompt));
  if (setup_->config.negative.run) {
    std::vector<GoodPrompt> good;
    for (const auto& one : found_) good.push_back({one.target, one.prompt});
    negatives_ = negative_tests(*setup_, good);
    for (const auto& test : negatives_)
      units.push_back(evaluate_unit(*setup_, test.target, test.prompt));
  }
  return units;
}

void IpsSearch::evaluate(run::Work& work) {
  runner_.run(work, facts_);
}

void IpsSearch::tell(const std::vector<run::Told>& results) {
  switch (stage_) {
    case Stage::targets:
      tell_targets(results);
      stage_ = Stage::manual;
      break;
    case Stage::manual:
      tell_manual(results);
      start_searches();
      stage_ = Stage::searches;
      break;
    case Stage::searches:
      tell_searches(results);
      break;
    case Stage::checks:
      tell_checks(results);
      stage_ = Stage::done;
      break;
    case Stage::done:
      break;
  }
}

void IpsSearch::tell_targets(const std::vector<run::Told>& results) {
  for (size_t t = 0; t < results.size(); ++t) {
    if (!results[t].quarantined) facts_[t] = TargetFacts::from_json(results[t].scalars);
  }
}

std::shared_ptr<const Terms> IpsSearch::terms_of(const run::Told& told) {
  auto& known = terms_[told.unit.id];
  if (!known)
    known = std::make_shared<const Terms>(told.quarantined ? useless()
                                                           : Terms::from_json(told.scalars));
  return known;
}

Scale IpsSearch::scale(int64_t target) const {
  return {setup_->targets[static_cast<size_t>(target)].most_tokens, setup_->unrelated};
}

Verdict IpsSearch::verdict(int64_t target, const Terms& terms) const {
  const auto fit = fitness(terms, setup_->config.fitness, scale(target));
  return judge(terms, fit, setup_->config.accept, scale(target), tau_);
}

Judged IpsSearch::judged(int64_t target, const Terms& terms) const {
  const auto fit = fitness(terms, setup_->config.fitness, scale(target));
  return {fit, judge(terms, fit, setup_->config.accept, scale(target), tau_).holds()};
}

// Stage 1: tau is the 90th percentile of L_code among the prompts by hand that match by what they
// write or do, at most accept.most_loss; without one nothing but such a match counts.
void IpsSearch::tell_manual(const std::vector<run::Told>& results) {
  std::vector<double> losses;
  for (size_t i = 0; i < results.size(); ++i) {
    manual_.push_back(terms_of(results[i]));
    const auto target = setup_->hand[i].target;
    const auto fit = fitness(*manual_.back(), setup_->config.fitness, scale(target));
    if (!judge(*manual_.back(), fit, setup_->config.accept, scale(target), -1).level.empty())
      losses.push_back(fit.loss);
  }
  std::sort(losses.begin(), losses.end());
  if (!losses.empty())
    tau_ = std::min(setup_->config.accept.most_loss, base::percentile(losses, 0.9));
  if (context_.world().root())
    context_.log().info(
        base::str(losses.size(), " of ", manual_.size(), " prompts by hand match; tau ", tau_));
}

void IpsSearch::start_searches() {
  const auto& c = setup_->config.search;
  for (int64_t t = 0; t < std::ssize(setup_->targets); ++t) {
    for (const auto& method : c.methods) {
      for (int64_t seed = 0; seed < c.seeds; ++seed)
        searches_.push_back(std::make_unique<SearchRecord>(
            SearchRecord::Identity{t, method, seed}, make_arm(*setup_, {t, method, seed}),
            SearchRecord::Limits{c.calls, c.successes}));
    }
  }
}

void IpsSearch::tell_searches(const std::vector<run::Told>& results) {
  size_t at = 0;
  for (const size_t s : asked_) {
    auto& search = *searches_[s];
    std::vector<SearchRecord::Result> own;
    for (const auto& ask : search.granted().asks) {
      const auto& told = results[at++];
      SearchRecord::Result result;
      if (ask.has_terms()) {
        result.terms = terms_of(told);
      } else if (ask.kind == Ask::Kind::gradient) {
        result.swaps = std::make_shared<const Swaps>(
            told.quarantined ? Swaps() : told.scalars.at("swaps").get<Swaps>());
      } else {
        result.texts = std::make_shared<const std::vector<std::string>>(
            told.quarantined ? std::vector<std::string>()
                             : told.scalars.at("texts").get<std::vector<std::string>>());
        if (ask.kind == Ask::Kind::prefer && !told.quarantined)
          result.training =
              std::make_shared<const PolicyUpdate>(update_from_json(told.scalars.at("training")));
      }
      own.push_back(std::move(result));
    }
    const auto target = search.identity().target;
    search.tell(own, [&](const Terms& terms) { return judged(target, terms); });
  }
}

// By hand first, then by search in order; of equal prompts for a target the first.
std::vector<Found> IpsSearch::found_prompts() const {
  std::vector<Found> out;
  for (size_t i = 0; i < manual_.size(); ++i) {
    const auto& one = setup_->hand[i];
    if (verdict(one.target, *manual_[i]).holds())
      out.push_back({one.target, "manual", -1, static_cast<int64_t>(i), 0, one.text, manual_[i]});
  }
  for (const auto& search : searches_) {
    const auto& id = search->identity();
    for (const int64_t index : search->successes()) {
      const auto& one = search->evaluations()[static_cast<size_t>(index)];
      out.push_back({id.target, id.method, id.seed, index, one.calls, one.ask.text, one.terms});
    }
  }
  return out;
}

void IpsSearch::tell_checks(const std::vector<run::Told>& results) {
  for (size_t i = 0; i < found_.size(); ++i)
    repeats_.push_back(results[i].quarantined ? Repeats() : Repeats::from_json(results[i].scalars));
  for (size_t i = found_.size(); i < results.size(); ++i)
    negative_terms_.push_back(terms_of(results[i]));
}

store::UnitOutput IpsSearch::finish() {
  ResultsInput in{*setup_,  facts_,     searches_,       manual_, found_,
                  repeats_, negatives_, negative_terms_, tau_};
  auto out = make_results(in);
  for (const auto& row : decision_rows(in)) {
    out.rows[table::decisions].push_back(store::to_row(row));
    if (context_.world().root())
      context_.log().info(base::str(row.hypothesis, ": ", row.statement, ": ", row.value.estimate,
                                    " [", row.value.low, ", ", row.value.high, "], n ", row.count,
                                    ": ", row.verdict));
  }
  return out;
}

}  // namespace preimage::ips
