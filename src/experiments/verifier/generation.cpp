#include "generation.hpp"

#include <algorithm>
#include <limits>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/text/code_block.hpp"
#include "program_analysis.hpp"

namespace preimage::verifier {
namespace {

// Blocks whose programs may be with the sandbox while the next ones are written.
constexpr size_t kBatchesBehind = 4;

// The key of a block's random numbers; with the candidate's index it gives each its own stream.
uint64_t block_seed(uint64_t seed, const run::Unit& unit) {
  const base::RandomStream stream(seed, unit.id, "candidates");
  // Exact in JSON and in float64 wherever it is shown.
  return (uint64_t{stream.bits(0)} << 21) | (stream.bits(1) >> 11);
}

}  // namespace

Generator load_generator(const GenerationConfig& config, at::Device device) {
  const auto dtype = config.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  Generator out{lm::load_model(config.model, {dtype, device}), text::load_tokenizer(config.model),
                nullptr};
  if (config.chat)
    out.chat = std::make_unique<const text::ChatTemplate>(text::load_chat_template(config.model));
  return out;
}

std::vector<int64_t> prompt_ids(const Generator& generator, const GenerationConfig& config,
                                const Problem& problem) {
  const bool other = problem.split == Split::test && !config.test_prompt.empty();
  const auto prompt = data::fill_prompt(other ? config.test_prompt : config.prompt, problem.source,
                                        config.shown_tests);
  if (!generator.chat) return generator.tokenizer.encode(prompt);
  text::OrderedJson messages = text::OrderedJson::array();
  if (!config.system.empty()) messages.push_back({{"role", "system"}, {"content", config.system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  const text::OrderedJson request = {{"messages", messages}, {"add_generation_prompt", true}};
  return generator.tokenizer.encode(generator.chat->render(request));
}

std::string program_of(const GenerationConfig& config, const Problem& problem,
                       const std::string& completion) {
  const auto& source = problem.source;
  if (config.continues) return source.starter + completion;
  const auto code = text::extract_code(completion);
  const auto function = "def " + source.entry_point + "(";
  if (source.form != data::TestForm::check_function) return code;
  if (code.find(function) == std::string::npos) return source.starter + code;
  return source.starter.substr(0, source.starter.find(function)) + code;
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

CandidateStage::CandidateStage(const VerifierConfig& config, const Problems& problems,
                               const Generator& generator, sandbox::Judge& judge, uint64_t seed)
    : config_(config), problems_(problems), generator_(generator), judge_(judge), seed_(seed) {
  for (const auto& problem : problems_.list) by_id_[problem.id] = &problem;
}

void CandidateStage::run(run::Work& work) {
  // Blocks that fill the generator's batch.
  const int64_t together = std::max<int64_t>(
      1, config_.generation.batch /
             std::min(config_.generation.block, config_.generation.train_candidates));
  for (;;) {
    std::vector<InFlight*> fresh;
    for (auto& unit : work.take(together)) {
      auto& entry = units_.emplace_back();
      entry.problem = by_id_.at(unit.key.at("problem").get<std::string>());
      entry.candidates.resize(unit.key.at("count").get<size_t>());
      entry.unit = std::move(unit);
      fresh.push_back(&entry);
    }
    if (!fresh.empty()) generate(fresh, work);
    if (work.stopping()) return;
    // What is done is kept at once: a kill costs a batch, not all that may be behind.
    receive(0);
    commit_done(work);
    // The generator never waits for verdicts, unless very many are behind.
    const bool last = fresh.empty();
    const auto most_behind = last ? 0 : kBatchesBehind * static_cast<size_t>(together);
    while (units_.size() > most_behind && !work.stopping()) {
      if (!awaited_.empty()) receive(0.02);
      commit_done(work);
    }
    if (last) return;
  }
}

lm::GenerateRequest CandidateStage::request_of(const InFlight& unit) const {
  const auto& c = config_.generation;
  lm::GenerateRequest request;
  request.ids = prompt_ids(generator_, c, *unit.problem);
  request.max_new_tokens = c.max_new_tokens;
  request.stop_ids = generator_.tokenizer.special().stop;
  if (request.stop_ids.empty()) request.stop_ids = generator_.model->config().eos_ids;
  request.sampling.temperature = c.temperature;
  request.sampling.top_p = c.top_p;
  request.sampling.top_k = c.top_k;
  request.sampling.seed = block_seed(seed_, unit.unit);
  request.n = static_cast<int64_t>(unit.candidates.size());
  request.stop = c.stop;
  return request;
}

void CandidateStage::generate(const std::vector<InFlight*>& units, const run::Work& work) {
  std::vector<lm::GenerateRequest> requests;
  for (const auto* unit : units) requests.push_back(request_of(*unit));
  lm::GenerateOptions options;
  options.batch = config_.generation.batch;
  options.tokenizer = &generator_.tokenizer;
  options.finished = [&](const lm::Completion& completion) {
    take_completion(*units[static_cast<size_t>(completion.request)], completion);
    receive(0);
  };
  options.cancelled = [&] { return work.stopping(); };
  lm::generate(*generator_.model, requests, options);
  if (work.stopping()) return;
  for (auto* unit : units) {
    std::vector<std::string> programs;
    for (const auto& candidate : unit->candidates) programs.push_back(candidate.program);
    submit(*unit, Awaited::Kind::forms, 0, normal_forms_request(programs));
  }
}

void CandidateStage::take_completion(InFlight& unit, const lm::Completion& completion) {
  const auto index = static_cast<size_t>(completion.index);
  auto& candidate = unit.candidates[index];
  candidate.program = program_of(config_.generation, *unit.problem, completion.text);
  candidate.tokens = static_cast<int64_t>(completion.ids.size());
  for (const float logprob : completion.logprobs) candidate.logprob_sum += logprob;
  candidate.stop = completion.finish_reason;
  const auto& source = unit.problem->source;
  submit(unit, Awaited::Kind::verdict, index, verdict_request(source, candidate.program));
  // The majority vote is a control of the test problems.
  if (unit.problem->split == Split::test && source.form == data::TestForm::assertions)
    submit(unit, Awaited::Kind::outputs, index, outputs_request(source, candidate.program));
}

void CandidateStage::submit(InFlight& unit, Awaited::Kind kind, size_t candidate,
                            sandbox::Request request) {
  ++unit.waiting;
  awaited_.emplace(judge_.submit(std::move(request)), Awaited{&unit, kind, candidate});
}

void CandidateStage::receive(double timeout_s) {
  while (auto record = judge_.next(timeout_s)) {
    timeout_s = 0;
    const auto found = awaited_.find(record->ticket);
    if (found == awaited_.end()) continue;  // of a unit that was dropped when the run stopped
    auto& [unit, kind, index] = found->second;
    if (kind == Awaited::Kind::verdict) {
      auto& candidate = unit->candidates[index];
      candidate.verdict = sandbox::name(record->verdict);
      candidate.passes = record->verdict == sandbox::Verdict::pass;
      candidate.detail = record->detail;
      candidate.cpu_s = record->cpu_s;
    } else if (kind == Awaited::Kind::outputs) {
      unit->candidates[index].outputs = outputs(*record);
    } else {
      std::vector<std::string> programs;
      for (const auto& candidate : unit->candidates) programs.push_back(candidate.program);
      const auto forms = normal_forms(*record, programs);
      for (size_t i = 0; i < forms.size(); ++i) unit->candidates[i].normal_form = forms[i];
    }
    --unit->waiting;
    awaited_.erase(found);
  }
}

void CandidateStage::commit_done(run::Work& work) {
  for (auto unit = units_.begin(); unit != units_.end();) {
    if (unit->waiting > 0) {
      ++unit;
      continue;
    }
    store::UnitOutput out;
    base::Json candidates = base::Json::array(), measured = base::Json::array();
    for (const auto& candidate : unit->candidates) {
      candidates.push_back(to_json(candidate));
      measured.push_back({candidate.cpu_s, candidate.detail});
    }
    // What stands under "seconds" is measured: outside every promise of equality.
    out.scalars = {{"candidates", std::move(candidates)}, {"seconds", std::move(measured)}};
    work.commit(unit->unit, std::move(out));
    unit = units_.erase(unit);
  }
}

}  // namespace preimage::verifier
