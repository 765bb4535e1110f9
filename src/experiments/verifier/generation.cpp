#include "generation.hpp"

#include <algorithm>

#include "preimage/base/random.hpp"
#include "report/rows.hpp"

namespace preimage::verifier {
namespace {

// Batches of programs that may be with the sandbox while the next ones are written: the generator
// does not wait for verdicts, unless very many are behind.
constexpr int64_t kBatchesBehind = 4;
constexpr double kLook_s = 0.02;  // at whether the run is stopping

// The key of a block's random numbers; with the candidate's index it gives each its own stream.
uint64_t block_seed(uint64_t seed, const run::Unit& unit) {
  const base::RandomStream stream(seed, unit.id, "candidates");
  // Exact in JSON and in float64 wherever it is shown.
  return (uint64_t{stream.bits(0)} << 21) | (stream.bits(1) >> 11);
}

eval::ProgramPrompt prompt_of(const GenerationConfig& config, const Problem& problem) {
  const bool other = problem.split == Split::test && !config.test_prompt.empty();
  return {other ? config.test_prompt : config.prompt, config.shown_tests, config.continues};
}

store::UnitOutput output_of(const run::Unit& unit, const eval::ProgramBlock& block) {
  const auto problem = unit.key.at("problem").get<std::string>();
  const auto begin = unit.key.at("begin").get<int64_t>();
  store::UnitOutput out;
  int64_t passing = 0;
  for (size_t i = 0; i < block.candidates.size(); ++i) {
    const auto& c = block.candidates[i];
    passing += c.passes ? 1 : 0;
    ProgramRow row{problem,
                   begin + static_cast<int64_t>(i),
                   c.program,
                   c.normal_form,
                   c.outputs,
                   c.tokens,
                   c.logprob_sum,
                   c.stop,
                   std::string(sandbox::name(*c.verdict)),
                   c.cpu_s,
                   c.detail,
                   c.passes_shown ? int64_t{*c.passes_shown} : -1};
    out.rows[table::programs].push_back(store::to_row(row));
  }
  out.scalars = {{"passing", passing}};
  return out;
}

}  // namespace

eval::TextModel load_generator(const GenerationConfig& config,
                               std::shared_ptr<const lm::Model> model) {
  return eval::load_text_model(config.model, std::move(model), config.chat);
}

std::vector<int64_t> generator_prompt(const eval::TextModel& generator,
                                      const GenerationConfig& config, const Problem& problem) {
  return eval::prompt_ids(
      generator, eval::program_prompt(prompt_of(config, problem), problem.source), config.system);
}

std::vector<run::Unit> candidate_units(const GenerationConfig& config, const Problems& problems) {
  std::vector<run::Unit> units;
  for (const auto& problem : problems.list) {
    const int64_t count =
        problem.split == Split::test ? config.test_candidates : config.train_candidates;
    for (int64_t begin = 0; begin < count; begin += config.block) {
      units.push_back(run::make_unit("verifier", "candidates",
                                     {{"problem", problem.id},
                                      {"begin", begin},
                                      {"count", std::min(config.block, count - begin)}}));
    }
  }
  return units;
}

std::vector<eval::ProgramCandidate> candidates_of(const store::UnitOutput& output) {
  std::vector<eval::ProgramCandidate> candidates;
  const auto rows = output.rows.find(table::programs);
  if (rows == output.rows.end()) return candidates;
  for (const auto& cells : rows->second) {
    ProgramRow row;
    store::from_row(cells, row);
    const auto verdict = sandbox::verdict_named(row.verdict);
    candidates.push_back({row.program, row.normal_form, row.outputs, row.tokens, row.logprob_sum,
                          row.stop, verdict, verdict == sandbox::Verdict::pass, std::nullopt,
                          row.cpu_s, row.detail});
    if (row.passes_shown >= 0) candidates.back().passes_shown = row.passes_shown == 1;
  }
  return candidates;
}

CandidateStage::CandidateStage(const VerifierConfig& config, const Problems& problems,
                               const eval::TextModel& generator, sandbox::Judge& judge,
                               uint64_t seed)
    : config_(config), seed_(seed) {
  const auto& c = config.generation;
  int64_t longest = 1;
  for (const auto& problem : problems.list) {
    by_id_[problem.id] = &problem;
    auto& prompt = prompts_[problem.id] = generator_prompt(generator, c, problem);
    longest = std::max(longest, std::ssize(prompt) + c.max_new_tokens);
  }
  eval::ProgramWriterOptions options;
  options.prompt.continues = c.continues;
  options.sampling.temperature = c.temperature;
  options.sampling.top_p = c.top_p;
  options.sampling.top_k = c.top_k;
  options.max_new_tokens = c.max_new_tokens;
  options.stop = c.stop;
  options.batch = c.batch;
  options.longest = longest;
  writer_.emplace(generator, judge, options);
}

void CandidateStage::run(run::Work& work) {
  for (bool more = true; !work.stopping();) {
    while (more && has_room()) {
      const auto units = work.take(1);
      for (const auto& unit : units) submit(unit);
      more = !units.empty();
    }
    if (!more && writer_->pending() == 0) return;
    while (const auto block = writer_->next(kLook_s)) {
      const auto unit = units_.find(block->ticket);
      work.commit(unit->second, output_of(unit->second, *block));
      units_.erase(unit);
      if (has_room()) break;
    }
  }
}

bool CandidateStage::has_room() const {
  return writer_->unwritten() < config_.generation.batch &&
         writer_->unjudged() < kBatchesBehind * config_.generation.batch;
}

void CandidateStage::submit(const run::Unit& unit) {
  const auto id = unit.key.at("problem").get<std::string>();
  const auto& problem = *by_id_.at(id);
  // What the controls of the test problems need: the majority of outputs, the shown assertions.
  const bool controls =
      problem.split == Split::test && problem.source.form == data::TestForm::assertions;
  const int64_t ticket = writer_->submit(
      {&problem.source, prompts_.at(id), unit.key.at("count").get<int64_t>(),
       block_seed(seed_, unit), controls, controls ? config_.generation.shown_tests : 0});
  units_.emplace(ticket, unit);
}

}  // namespace preimage::verifier
