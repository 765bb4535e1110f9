#include "search.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "pools/pool_stage.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "report/buckets.hpp"
#include "report/evidence.hpp"
#include "report/slim.hpp"

namespace preimage::grpo {
namespace {

template <class Row>
void take_rows(const store::UnitOutput& output, const char* table, std::vector<Row>& into) {
  const auto found = output.rows.find(table);
  if (found == output.rows.end()) return;
  for (const auto& cells : found->second) {
    Row row;
    store::from_row(cells, row);
    into.push_back(std::move(row));
  }
}

}  // namespace

GrpoSearch::GrpoSearch(run::Context& context, std::unique_ptr<const Setup> setup)
    : context_(context), setup_(std::move(setup)) {}

bool GrpoSearch::has_basis(const std::string& kind) const {
  return std::ranges::any_of(setup_->config.probe.arms, [&](const std::string& name) {
    return arm_named(name).basis == kind;
  });
}

std::vector<run::Unit> GrpoSearch::ask(int64_t) {
  if (stage_ == Stage::pools) return pool_units(setup_->config, setup_->stored);
  std::vector<run::Unit> units;
  if (stage_ == Stage::extraction) {
    for (const std::string kind : {"svd", "lora"}) {
      if (!has_basis(kind)) continue;
      units.push_back(
          run::make_unit("grpo", "extraction", {{"basis", kind}, {"contrast", "hack"}}));
      if (!setup_->style_pairs.empty())
        units.push_back(
            run::make_unit("grpo", "extraction", {{"basis", kind}, {"contrast", "style"}}));
    }
  }
  if (stage_ == Stage::chains) {
    for (const auto& key : chain_keys(setup_->config.probe)) {
      units.push_back(run::make_unit(
          "grpo", "chain", {{"basis", key.basis}, {"pass", key.pass}, {"arms", key.arms}}));
      units.back().cost = key.pass == "frozen" ? 2 : 1;  // the hint-less prompts too
    }
  }
  return units;
}

void GrpoSearch::prepare(int64_t) {
  if (stage_ != Stage::extraction) return;
  cluster::on_root(context_.world(), [&] {
    write_pools();
    return std::string();
  });
}

void GrpoSearch::write_pools() const {
  namespace fs = std::filesystem;
  for (const auto& pool : pools_) {
    if (pool.empty()) continue;
    const auto folder = context_.folder() / "pools" / pool[0].pool;
    fs::create_directories(folder);
    std::map<int64_t, std::vector<PoolSample>> steps;
    for (const auto& sample : pool) steps[sample.step].push_back(sample);
    for (const auto& [step, samples] : steps)
      base::write_file_atomically(folder / pool_file_name(step), pool_file(samples));
  }
}

void GrpoSearch::evaluate(run::Work& work) {
  if (stage_ == Stage::pools) {
    PoolStage({&setup_->config, &setup_->problems, &setup_->stored, &setup_->student,
               setup_->teacher, &setup_->judge(), setup_->seed})
        .run(work);
  } else if (stage_ == Stage::extraction) {
    extract(work);
  } else {
    probe(work);
  }
}

Basis& GrpoSearch::basis_of(const std::string& kind) {
  if (!basis_ || basis_->kind() != kind) {
    basis_.reset();
    const auto& config = setup_->config.probe;
    // Kept: signs of singular vectors are the library's, and a resume must find the same.
    const std::filesystem::path own = context_.out() / "factors";
    basis_ = std::make_unique<Basis>(
        setup_->student.model, kind, config, setup_->seed,
        config.factors.empty() ? own : std::filesystem::path(config.factors));
  }
  return *basis_;
}

void GrpoSearch::extract(run::Work& work) {
  const auto& c = setup_->config;
  for (;;) {
    const auto units = work.take(1);
    if (units.empty() || work.stopping()) return;
    const auto& key = units[0].key;
    ExtractionInput input;
    input.contrast = key.at("contrast").get<std::string>();
    const bool style = input.contrast == "style";
    input.pairs = style ? setup_->style_pairs : setup_->pairs;
    input.heldout = style ? 0 : c.extraction.heldout;
    input.loss = c.extraction.loss;
    input.max_new = c.pools.max_new_tokens;
    input.axes = c.extraction.axes;
    input.draws = c.nulls.draws;
    input.seed = setup_->seed;
    work.commit(units[0], grpo::extract(basis_of(key.at("basis").get<std::string>()), input));
  }
}

void GrpoSearch::probe(run::Work& work) {
  for (;;) {
    const auto units = work.take(1);
    if (units.empty() || work.stopping()) return;
    const auto& key = units[0].key;
    ChainInput input;
    input.key = {key.at("basis").get<std::string>(), key.at("pass").get<std::string>(),
                 key.at("arms").get<std::vector<std::string>>()};
    input.config = &setup_->config;
    input.groups = &groups_;
    const auto found = extractions_.find({input.key.basis, "hack"});
    if (found == extractions_.end())
      throw base::data_error(base::str("basis ", input.key.basis,
                                       ": its extraction was set aside after ending its rank"));
    input.extraction = &found->second;
    const auto style = extractions_.find({input.key.basis, "style"});
    if (style != extractions_.end()) input.style = &style->second.directions;
    input.seed = setup_->seed;
    input.stopping = [&] { return work.stopping(); };
    auto output = run_chain(basis_of(input.key.basis), input);
    if (!output) return;
    work.commit(units[0], std::move(*output));
  }
}

void GrpoSearch::tell(const std::vector<run::Told>& results) {
  if (stage_ == Stage::pools) {
    tell_pools(results);
    stage_ = Stage::extraction;
  } else if (stage_ == Stage::extraction) {
    for (const auto& told : results)
      if (!told.quarantined)
        extractions_[{told.unit.key.at("basis").get<std::string>(),
                      told.unit.key.at("contrast").get<std::string>()}] =
            extraction_of(told.output());
    stage_ = Stage::chains;
  } else {
    for (const auto& told : results) {
      if (told.quarantined) continue;
      const auto output = told.output();
      take_rows(output, table::samples, samples_);
      take_rows(output, table::steps, steps_);
      take_rows(output, table::nulls, nulls_);
    }
    stage_ = Stage::done;
  }
}

void GrpoSearch::tell_pools(const std::vector<run::Told>& results) {
  std::vector<std::string> names = {teacher_pool, base_pool};
  if (!setup_->stored.empty()) names.clear();
  for (const auto& pool : setup_->stored) names.push_back(pool[0].pool);
  pools_.resize(names.size());
  const auto& grader = setup_->config.pools.grader;
  const std::set<double> expected = {0, grader.compile_reward,
                                     grader.pass_reward + grader.compile_reward};
  for (const auto& told : results) {
    if (told.quarantined) continue;
    const auto place = std::ranges::find(names, told.unit.key.at("pool").get<std::string>());
    for (auto& sample : pool_samples(told.output())) {
      base::check(expected.contains(sample.grade.reward),
                  "rewards are 0, that of compiling, or that of both");
      pools_[static_cast<size_t>(place - names.begin())].push_back(std::move(sample));
    }
  }
  groups_ = make_groups(setup_->config.probe, pools_);
  std::map<std::string, const Problem*> by_id;
  for (const auto& problem : setup_->problems.list) by_id[problem.source.id] = &problem;
  for (auto& group : groups_) {
    for (auto& sample : group.samples) {
      const auto found = by_id.find(sample.source->problem_id);
      if (sample.base || found == by_id.end()) continue;
      auto bare = policy_prompt(setup_->config, setup_->student, found->second->prompt);
      if (bare != sample.source->prompt_ids) sample.bare = std::move(bare);
    }
  }
}

void GrpoSearch::write_slim() const {
  for (const auto& [name, bytes] : slim_files(samples_, setup_->seed)) {
    const auto path = context_.folder() / "slim" / name;
    std::filesystem::create_directories(path.parent_path());
    base::write_file_atomically(path, bytes);
  }
}

store::UnitOutput GrpoSearch::finish() {
  write_slim();
  store::UnitOutput out;
  for (const auto& row : bucket_table(samples_))
    out.rows[table::buckets].push_back(store::to_row(row));
  const auto comparisons =
      compare_samples(samples_, {setup_->seed, setup_->config.bootstrap_draws});
  for (const auto& row : comparisons) out.rows[table::comparisons].push_back(store::to_row(row));
  for (const auto& row : decision_rows({&steps_, &samples_, &nulls_, &comparisons})) {
    if (row.id == "verdict")
      context_.log().info(base::str("verdict (", row.pass, ", ", row.arm, "): ", row.verdict));
    out.rows[table::decisions].push_back(store::to_row(row));
  }
  return out;
}

}  // namespace preimage::grpo
