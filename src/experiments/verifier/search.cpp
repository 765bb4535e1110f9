#include "search.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"

namespace preimage::verifier {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

Corpus corpus_of(const Problems& problems) {
  Corpus corpus;
  for (const auto& problem : problems.list)
    corpus.problems.push_back(
        {problem.id, problem.source.group, problem.prompt, problem.split, {}, 0});
  return corpus;
}

}  // namespace

VerifierSearch::VerifierSearch(run::Context& context, std::unique_ptr<const Setup> setup)
    : context_(context),
      setup_(std::move(setup)),
      stage_(setup_->config.generates() ? Stage::candidates : Stage::scores),
      corpus_(setup_->config.generates() ? corpus_of(setup_->problems)
                                         : read_corpus(setup_->config.data, setup_->seed)) {
  if (!context.world().root()) return;
  for (const auto& note : corpus_.notes) context.log().info(note);
}

std::vector<run::Unit> VerifierSearch::ask(int64_t) {
  if (stage_ == Stage::candidates)
    return candidate_units(setup_->config.generation, setup_->problems);
  return stage_ == Stage::scores ? score_units() : std::vector<run::Unit>();
}

void VerifierSearch::prepare(int64_t) {
  if (stage_ != Stage::scores) return;
  cluster::on_root(context_.world(), [&] {
    std::filesystem::create_directories(context_.folder());
    // Beside the results, so that another training can start from it.
    if (setup_->config.generates()) write_corpus(corpus_, context_.folder() / "candidates.jsonl");
    return std::string();
  });
  train();
}

void VerifierSearch::evaluate(run::Work& work) {
  if (stage_ == Stage::candidates) {
    CandidateStage(setup_->config, setup_->problems, *setup_->generator, setup_->judge(),
                   setup_->seed)
        .run(work);
  } else {
    score(work);
  }
}

void VerifierSearch::tell(const std::vector<run::Told>& results) {
  if (stage_ == Stage::candidates) {
    tell_candidates(results);
    stage_ = Stage::scores;
  } else {
    tell_scores(results);
    stage_ = Stage::done;
  }
}

void VerifierSearch::tell_candidates(const std::vector<run::Told>& results) {
  std::map<std::string, size_t> places;
  for (size_t p = 0; p < corpus_.problems.size(); ++p) places[corpus_.problems[p].id] = p;
  for (const auto& told : results) {
    if (told.quarantined) continue;
    auto& problem = corpus_.problems[places.at(told.unit.key.at("problem").get<std::string>())];
    for (auto& candidate : candidates_of(told.output())) {
      if (candidate.verdict == sandbox::Verdict::infra) {
        ++problem.infra;
      } else {
        problem.candidates.push_back(std::move(candidate));
      }
    }
  }
}

void VerifierSearch::train() {
  const auto& c = setup_->config;
  encoded_ = std::make_unique<EncodedCorpus>(corpus_, c, setup_->tokenizer, setup_->seed);
  training_ = make_training_set(corpus_, *encoded_, c, setup_->seed);
  if (context_.world().root())
    context_.log().info(
        base::str(training_.miner->problems_with_both(), " of ", training_.train.size(),
                  " training problems have passing and failing candidates, ",
                  training_.miner->groups_per_epoch(), " distinct passing candidates an epoch; ",
                  100 * encoded_->truncated_share(), " % of the programs are cut"));
  ensemble_ = std::make_unique<Ensemble>(context_, *setup_);
  ensemble_->prepare(training_.data);
  ensemble_->train(training_);
  for (const auto& model : ensemble_->trained()) {
    TrainedScores scores{model.arm, model.loss, model.seed, {}, {}};
    scores.energies.resize(corpus_.problems.size());
    scores.blind.resize(corpus_.problems.size());
    scores_.push_back(std::move(scores));
  }
}

std::vector<run::Unit> VerifierSearch::score_units() const {
  std::vector<run::Unit> units;
  for (size_t p = 0; p < corpus_.problems.size(); ++p)
    units.push_back(
        run::make_unit("verifier", "scores", {{"index", p}, {"problem", corpus_.problems[p].id}}));
  return units;
}

void VerifierSearch::score(run::Work& work) {
  ensemble_->open();
  for (;;) {
    const auto units = work.take(1);
    if (units.empty() || work.stopping()) break;
    work.commit(units[0], score_problem(units[0].key.at("index").get<int64_t>()));
  }
  ensemble_->close();
}

store::UnitOutput VerifierSearch::score_problem(int64_t index) {
  const auto& problem = corpus_.problems[static_cast<size_t>(index)];
  auto programs = encoded_->programs(index), blind_programs = encoded_->blind(index);
  const bool scored = setup_->config.score_training || problem.split != Split::train;
  if (scored) {
    ensemble_->prepare(programs);
    ensemble_->prepare(blind_programs);
  }
  store::UnitOutput out;
  base::Json energies = base::Json::array(), blinds = base::Json::array();
  std::vector<double> chosen(programs.size(), scored ? 0.0 : not_a_number);
  double seeds = 0;
  for (size_t t = 0; scored && t < ensemble_->trained().size(); ++t) {
    const auto& model = ensemble_->trained()[t];
    const auto own = ensemble_->score(t, programs);
    const auto blind =
        blind_programs.empty() ? std::vector<double>() : ensemble_->score(t, blind_programs);
    if (ensemble_->is_chosen(model)) seeds += 1;
    for (size_t i = 0; i < own.size(); ++i) {
      if (ensemble_->is_chosen(model)) chosen[i] += own[i];
      out.rows[table::energies].push_back(store::to_row(
          EnergyRow{model.seed, model.arm, model.loss, problem.id, static_cast<int64_t>(i), own[i],
                    blind.empty() ? not_a_number : blind[i]}));
    }
    energies.push_back(own);
    blinds.push_back(blind);
  }
  for (size_t i = 0; i < programs.size(); ++i) {
    const auto& c = problem.candidates[i];
    CandidateRow row{
        problem.id,   split_name(problem.split), static_cast<int64_t>(i), c.program, c.tokens,
        c.logprob_sum};
    row.logprob_mean = c.logprob_sum / static_cast<double>(std::max<int64_t>(1, c.tokens));
    row.stop = c.stop, row.normal_form = c.normal_form;
    row.verdict = c.verdict ? std::string(sandbox::name(*c.verdict)) : "";
    row.outputs = c.outputs, row.energy = chosen[i] / std::max(1.0, seeds),
    row.truncated = programs[i].truncated;
    row.cpu_s = c.cpu_s, row.detail = c.detail, row.passes = c.passes;
    row.passes_shown = c.passes_shown ? int64_t{*c.passes_shown} : -1;
    out.rows[table::candidates].push_back(store::to_row(row));
    if (setup_->config.keep_inputs)
      out.tensors[tensor::inputs].push_back(
          {{static_cast<int64_t>(programs[i].ids.size())}, programs[i].ids});
  }
  out.scalars = {{"energies", std::move(energies)}, {"blind", std::move(blinds)}};
  return out;
}

void VerifierSearch::tell_scores(const std::vector<run::Told>& results) {
  for (size_t p = 0; p < results.size(); ++p) {
    if (results[p].quarantined) {
      corpus_.problems[p].candidates.clear();  // of no use to any selector
      continue;
    }
    if (results[p].scalars.at("energies").empty()) continue;  // a training problem's
    for (size_t t = 0; t < scores_.size(); ++t) {
      scores_[t].energies[p] = results[p].scalars.at("energies")[t].get<std::vector<double>>();
      scores_[t].blind[p] = results[p].scalars.at("blind")[t].get<std::vector<double>>();
    }
  }
}

void VerifierSearch::add_problems(store::UnitOutput& out) const {
  for (const auto& problem : corpus_.problems) {
    ProblemRow row{problem.id, split_name(problem.split), problem.group, problem.prompt};
    row.candidates = static_cast<int64_t>(problem.candidates.size());
    row.infra = problem.infra;
    std::vector<MiningCandidate> mined;
    for (const auto& candidate : problem.candidates) {
      row.passing += candidate.passes ? 1 : 0;
      mined.push_back({candidate.program, candidate.normal_form, candidate.passes});
    }
    const auto distinct = distinct_candidates(mined);
    row.distinct_passing = static_cast<int64_t>(distinct.passing.size());
    row.distinct_failing = static_cast<int64_t>(distinct.failing.size());
    row.duplicates = distinct.duplicates;
    row.contradictions = distinct.contradictions;
    row.ranked =
        problem.split == Split::train && !distinct.passing.empty() && !distinct.failing.empty();
    out.rows[table::problems].push_back(store::to_row(row));
  }
}

void VerifierSearch::add_pairs(store::UnitOutput& out) const {
  for (const auto& group : training_.miner->epoch(0)) {
    const auto& id =
        corpus_.problems[static_cast<size_t>(training_.train[static_cast<size_t>(group.problem)])]
            .id;
    for (size_t j = 0; j < group.negatives.size(); ++j)
      out.rows[table::pairs].push_back(
          store::to_row(PairRow{id, group.positive, group.negatives[j],
                                static_cast<int64_t>(j) < group.hard, group.weight}));
  }
}

// The headline, for the log: what was measured, and no more.
void VerifierSearch::report(const Evaluation& evaluation) const {
  for (const auto& row : evaluation.metrics) {
    const bool headline = row.metric == "pass_at_1" || row.metric == "minus_random";
    if (row.subset != "all" || !headline) continue;
    context_.log().info(base::str(row.selector,
                                  row.arm.empty() ? "" : " " + row.arm + " " + row.loss, ": ",
                                  row.metric, " ", row.value.estimate, " [", row.value.low, ", ",
                                  row.value.high, "], ", row.problems, " test problems"));
  }
}

store::UnitOutput VerifierSearch::finish() {
  store::UnitOutput out;
  add_problems(out);
  add_pairs(out);
  for (const auto& row : ensemble_->rows()) out.rows[table::training].push_back(store::to_row(row));
  const auto& c = setup_->config;
  const auto evaluation =
      verifier::evaluate(corpus_, scores_, {setup_->seed, c.bootstrap_draws, c.calibration_bins});
  for (const auto& row : evaluation.selection)
    out.rows[table::selection].push_back(store::to_row(row));
  for (const auto& row : evaluation.metrics) out.rows[table::metrics].push_back(store::to_row(row));
  report(evaluation);
  return out;
}

}  // namespace preimage::verifier
