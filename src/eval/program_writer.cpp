#include "preimage/eval/program_writer.hpp"

#include <algorithm>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/eval/program_analysis.hpp"

namespace preimage::eval {
namespace {

constexpr double kLook_s = 0.02;  // at the judge, where the model has nothing to do

std::vector<std::string> programs_of(const ProgramBlock& block) {
  std::vector<std::string> programs;
  for (const auto& candidate : block.candidates) programs.push_back(candidate.program);
  return programs;
}

}  // namespace

ProgramWriter::ProgramWriter(const TextModel& model, sandbox::Judge& judge,
                             const ProgramWriterOptions& options)
    : model_(model),
      judge_(judge),
      options_(options),
      stop_ids_(stop_ids(model)),
      generator_(
          *model.model,
          {.batch = options.batch, .longest = options.longest, .tokenizer = &model.tokenizer}) {}

int64_t ProgramWriter::submit(const ProgramRequest& request) {
  lm::GenerateRequest generate;
  generate.ids = request.prompt;
  generate.max_new_tokens = options_.max_new_tokens;
  generate.stop_ids = stop_ids_;
  generate.sampling = options_.sampling;
  generate.sampling.seed = request.seed;
  generate.n = request.n;
  generate.stop = options_.stop;
  const int64_t ticket = generator_.submit(std::move(generate));
  auto& block = blocks_.emplace_back();
  block.request = request;
  block.result.ticket = ticket;
  block.result.candidates.resize(static_cast<size_t>(request.n));
  block.unwritten = request.n;
  by_ticket_[ticket] = std::prev(blocks_.end());
  return ticket;
}

std::optional<ProgramBlock> ProgramWriter::next(double timeout_s) {
  const double end = timeout_s > 0 ? base::monotonic_seconds() + timeout_s : 0;
  for (;;) {
    receive(0);
    if (auto block = finished()) return block;
    if (blocks_.empty()) return std::nullopt;
    if (generator_.pending() > 0) {
      if (const auto completion = generator_.next(0)) take(*completion);
    } else if (timeout_s != 0) {
      receive(kLook_s);
    }
    if (timeout_s >= 0 && base::monotonic_seconds() >= end) {
      receive(0);
      return finished();
    }
  }
}

void ProgramWriter::take(const lm::Completion& completion) {
  const auto block = by_ticket_.at(completion.request);
  const auto index = static_cast<size_t>(completion.index);
  const auto& problem = *block->request.problem;
  auto& candidate = block->result.candidates[index];
  candidate.program = program_of(options_.prompt, problem, completion.text);
  candidate.tokens = static_cast<int64_t>(completion.ids.size());
  for (const float logprob : completion.logprobs) candidate.logprob_sum += logprob;
  candidate.stop = completion.finish_reason;
  ask(block, Awaited::Kind::verdict, index, verdict_request(problem, candidate.program));
  if (block->request.shown != 0)
    ask(block, Awaited::Kind::shown, index,
        shown_request(problem, candidate.program, block->request.shown));
  if (block->request.outputs)
    ask(block, Awaited::Kind::outputs, index, outputs_request(problem, candidate.program));
  if (--block->unwritten > 0) return;
  by_ticket_.erase(completion.request);
  ask(block, Awaited::Kind::forms, 0, normal_forms_request(programs_of(block->result)));
}

void ProgramWriter::ask(std::list<Block>::iterator block, Awaited::Kind kind, size_t candidate,
                        sandbox::Request request) {
  ++block->waiting;
  awaited_.emplace(judge_.submit(std::move(request)), Awaited{block, kind, candidate});
}

void ProgramWriter::receive(double timeout_s) {
  while (auto record = judge_.next(timeout_s)) {
    timeout_s = 0;
    const auto found = awaited_.find(record->ticket);
    if (found == awaited_.end()) continue;  // asked by a writer that was dropped when a run stopped
    const auto [block, kind, index] = found->second;
    auto& candidates = block->result.candidates;
    if (kind == Awaited::Kind::verdict) {
      candidates[index].verdict = record->verdict;
      candidates[index].passes = record->verdict == sandbox::Verdict::pass;
      candidates[index].detail = record->detail;
      candidates[index].cpu_s = record->cpu_s;
    } else if (kind == Awaited::Kind::shown) {
      if (record->verdict != sandbox::Verdict::infra)
        candidates[index].passes_shown = record->verdict == sandbox::Verdict::pass;
    } else if (kind == Awaited::Kind::outputs) {
      candidates[index].outputs = outputs(*record);
    } else {
      const auto forms = normal_forms(*record, programs_of(block->result));
      for (size_t i = 0; i < forms.size(); ++i) candidates[i].normal_form = forms[i];
    }
    --block->waiting;
    awaited_.erase(found);
  }
}

std::optional<ProgramBlock> ProgramWriter::finished() {
  const auto done = std::find_if(blocks_.begin(), blocks_.end(), [](const Block& block) {
    return block.unwritten == 0 && block.waiting == 0;
  });
  if (done == blocks_.end()) return std::nullopt;
  auto result = std::move(done->result);
  blocks_.erase(done);
  return result;
}

}  // namespace preimage::eval
