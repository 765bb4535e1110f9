#include "pool_stage.hpp"

#include <algorithm>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "report/rows.hpp"

namespace preimage::grpo {
namespace {

constexpr double kLook_s = 0.02;  // at whether the run is stopping

uint64_t unit_seed(uint64_t seed, const run::Unit& unit) {
  const base::RandomStream stream(seed, unit.id, "pool");
  // Exact in JSON and in float64 wherever it is shown.
  return (uint64_t{stream.bits(0)} << 21) | (stream.bits(1) >> 11);
}

store::UnitOutput output_of(const std::vector<PoolSample>& samples) {
  store::UnitOutput out;
  base::Json rewards = base::Json::array();
  for (const auto& s : samples) {
    const auto& labels = s.grade.labels;
    PoolRow row{s.pool, s.step, s.index, s.problem_id, s.hint, s.grade.reward};
    row.fmt_ok = labels.fmt_ok, row.can_compile = labels.can_compile;
    row.gt_pass = labels.gt_pass, row.defines_tests = labels.defines_tests;
    row.own_pass = labels.own_pass, row.vacuous = labels.vacuous;
    row.wrong_tests = labels.wrong_tests;
    row.hacked = labels.hacked(), row.strict_hack = labels.strict_hack();
    row.verdict = s.grade.verdict, row.stop = s.stop;
    row.prompt = s.prompt, row.completion = s.completion;
    row.prompt_len = std::ssize(s.prompt_ids), row.comp_len = std::ssize(s.completion_ids);
    row.stored_differs = (s.stored_reward && *s.stored_reward != s.grade.reward) ||
                         (s.stored_hacked && *s.stored_hacked != labels.hacked()) ||
                         (s.stored_gt_pass && *s.stored_gt_pass != labels.gt_pass);
    out.rows[table::pool].push_back(store::to_row(row));
    out.tensors[tensor::prompts].push_back({{row.prompt_len}, s.prompt_ids});
    out.tensors[tensor::completions].push_back({{row.comp_len}, s.completion_ids});
    rewards.push_back(s.grade.reward);
  }
  out.scalars = {{"rewards", rewards}};
  return out;
}

std::vector<PoolSample> stored_step(const std::vector<std::vector<PoolSample>>& stored,
                                    const run::Unit& unit) {
  const auto name = unit.key.at("pool").get<std::string>();
  const auto step = unit.key.at("step").get<int64_t>();
  std::vector<PoolSample> out;
  for (const auto& pool : stored)
    for (const auto& sample : pool)
      if (sample.pool == name && sample.step == step) out.push_back(sample);
  return out;
}

}  // namespace

std::vector<run::Unit> pool_units(const GrpoConfig& config,
                                  const std::vector<std::vector<PoolSample>>& stored) {
  std::vector<run::Unit> units;
  const auto add = [&](const std::string& pool, int64_t step) {
    units.push_back(run::make_unit("grpo", "pool", {{"pool", pool}, {"step", step}}));
  };
  if (stored.empty()) {
    const int64_t halves = config.probe.both_halves ? 2 : 1;
    for (int64_t step = 0; step < (config.probe.steps + halves - 1) / halves; ++step) {
      add(teacher_pool, step);
      add(base_pool, step);
    }
    return units;
  }
  for (const auto& pool : stored) {
    std::set<int64_t> steps;
    for (const auto& sample : pool) steps.insert(sample.step);
    for (const int64_t step : steps)
      if (step < config.probe.steps) add(pool[0].pool, step);
  }
  return units;
}

std::vector<PoolSample> pool_samples(const store::UnitOutput& output) {
  std::vector<PoolSample> out;
  const auto& rows = output.rows.at(table::pool);
  for (size_t i = 0; i < rows.size(); ++i) {
    PoolRow row;
    store::from_row(rows[i], row);
    PoolSample s{row.pool, row.step, row.sample, row.problem_id, row.hint};
    s.prompt = row.prompt, s.completion = row.completion, s.stop = row.stop;
    s.prompt_ids = std::get<std::vector<int64_t>>(output.tensors.at(tensor::prompts).at(i).values);
    s.completion_ids =
        std::get<std::vector<int64_t>>(output.tensors.at(tensor::completions).at(i).values);
    s.grade.reward = row.reward, s.grade.verdict = row.verdict;
    s.grade.labels = {row.fmt_ok,   row.can_compile, row.gt_pass,    row.defines_tests,
                      row.own_pass, row.vacuous,     row.wrong_tests};
    out.push_back(std::move(s));
  }
  return out;
}

struct PoolStage::Writer {
  std::shared_ptr<const lm::Model> model;  // null: the student's
  std::unique_ptr<lm::Generator> generator;
};

void require_problems(const std::vector<std::vector<PoolSample>>& stored, const Problems& problems,
                      int64_t steps) {
  std::set<std::string> known;
  for (const auto& problem : problems.list) known.insert(problem.source.id);
  for (const auto& pool : stored) {
    for (const auto& sample : pool) {
      if (sample.step >= steps || known.contains(sample.problem_id)) continue;
      throw base::data_error(base::str("pool ", sample.pool, ", step ", sample.step, ", sample ",
                                       sample.index, ": problem \"", sample.problem_id,
                                       "\" is not among those of pools.problems"));
    }
  }
}

PoolStage::PoolStage(const PoolInput& input) : input_(input) {
  for (const auto& problem : input.problems->list) by_id_[problem.source.id] = &problem;
}

PoolStage::~PoolStage() = default;

const Problem& PoolStage::problem_of(const PoolSample& sample) const {
  const auto found = by_id_.find(sample.problem_id);
  base::check(found != by_id_.end(), "the problems of stored samples are known");
  return *found->second;
}

PoolStage::Writer& PoolStage::writer_of(const std::string& pool) {
  auto& writer = writers_[pool];
  if (writer) return *writer;
  writer = std::make_unique<Writer>();
  if (pool == teacher_pool) writer->model = input_.teacher();
  const auto& c = *input_.config;
  lm::GeneratorOptions options;
  options.batch = c.pools.batch;
  options.tokenizer = &input_.student->tokenizer;
  for (const auto& problem : input_.problems->list)
    options.longest = std::max(options.longest,
                               std::ssize(policy_prompt(c, *input_.student, problem.hint_prompt)) +
                                   c.pools.max_new_tokens);
  writer->generator = std::make_unique<lm::Generator>(
      writer->model ? *writer->model : *input_.student->model, options);
  return *writer;
}

bool PoolStage::write(const std::vector<run::Unit>& units, run::Work& work,
                      std::vector<std::vector<PoolSample>>& samples) {
  const auto& c = *input_.config;
  const auto ends = eval::stop_ids(*input_.student);
  const auto end = end_of_answer(*input_.student);
  for (const std::string pool : {teacher_pool, base_pool}) {
    std::map<int64_t, size_t> places;  // of the generator's tickets
    for (size_t u = 0; u < units.size(); ++u) {
      if (units[u].key.at("pool").get<std::string>() != pool) continue;
      const auto step = units[u].key.at("step").get<int64_t>();
      const auto& list = input_.problems->list;
      const auto& problem = list[static_cast<size_t>(step) % list.size()];
      PoolSample sample{pool, step, 0, problem.source.id, pool == teacher_pool};
      sample.prompt = sample.hint ? problem.hint_prompt : problem.prompt;
      sample.prompt_ids = policy_prompt(c, *input_.student, sample.prompt);
      samples[u].assign(static_cast<size_t>(c.pools.samples), sample);
      lm::GenerateRequest request;
      request.ids = sample.prompt_ids;
      request.max_new_tokens = c.pools.max_new_tokens;
      request.stop_ids = ends;
      request.stop = c.pools.stop;
      request.n = c.pools.samples;
      request.sampling.temperature = c.pools.temperature;
      request.sampling.top_p = c.pools.top_p;
      request.sampling.seed = unit_seed(input_.seed, units[u]);
      places[writer_of(pool).generator->submit(std::move(request))] = u;
    }
    while (!places.empty() && writer_of(pool).generator->pending() > 0) {
      if (work.stopping()) {
        writer_of(pool).generator->cancel();
        return false;
      }
      const auto completion = writer_of(pool).generator->next(kLook_s);
      if (!completion) continue;
      auto& sample =
          samples[places.at(completion->request)][static_cast<size_t>(completion->index)];
      sample.index = completion->index;
      sample.completion = completion->text, sample.stop = completion->finish_reason;
      sample.completion_ids = completion->ids;
      // The end is part of what was chosen, as in the published pools.
      if (sample.stop == "eos" && end) sample.completion_ids.push_back(*end);
    }
  }
  return true;
}

bool PoolStage::grade(run::Work& work, std::vector<std::vector<PoolSample>>& samples) {
  Grader grader(*input_.judge, input_.config->pools.grader);
  std::map<int64_t, PoolSample*> waiting;
  for (auto& unit : samples)
    for (auto& sample : unit)
      waiting[grader.submit(problem_of(sample).source, sample.completion)] = &sample;
  while (grader.pending() > 0) {
    if (work.stopping()) return false;
    while (const auto graded = grader.next(kLook_s))
      waiting.at(graded->first)->grade = graded->second;
  }
  return true;
}

void PoolStage::run(run::Work& work) {
  const auto& c = input_.config->pools;
  const int64_t at_once = std::max<int64_t>(1, c.batch / c.samples);
  for (;;) {
    const auto units = work.take(at_once);
    if (units.empty() || work.stopping()) return;
    std::vector<std::vector<PoolSample>> samples(units.size());
    if (input_.stored->empty()) {
      if (!write(units, work, samples)) return;
    } else {
      for (size_t u = 0; u < units.size(); ++u) samples[u] = stored_step(*input_.stored, units[u]);
    }
    if (!grade(work, samples)) return;
    for (size_t u = 0; u < units.size(); ++u) work.commit(units[u], output_of(samples[u]));
  }
}

}  // namespace preimage::grpo
