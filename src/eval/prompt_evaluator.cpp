#include "preimage/eval/prompt_evaluator.hpp"

#include <algorithm>
#include <deque>
#include <exception>
#include <limits>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/generate/generator.hpp"
#include "preimage/lm/target_loss.hpp"
#include "score_threads.hpp"

namespace preimage::eval {
namespace {

constexpr double kLook_s = 0.01;  // at threads and sandbox, where the model has nothing to do
constexpr int64_t kBatchesAhead = 2, kRequestsASlot = 8;

// One key that is being evaluated.
struct Job {
  PromptRequest request;
  Evaluation evaluation;
  std::vector<int64_t> tickets;  // the first asked, the others wait for the same
  int64_t unwritten = 0, unscored = 0, unjudged = 0;
  bool needs_nll = false;
  bool dropped = false;  // by cancel(), while a thread had it
  double begin_s = 0;
  std::exception_ptr error;  // of the scorer

  bool done() const { return unwritten == 0 && unscored == 0 && unjudged == 0 && !needs_nll; }
};
using JobPtr = std::shared_ptr<Job>;

std::string answer_hash(const Answer& answer) {
  return base::sha256_hex(base::canonical({answer.ids, answer.stop})).substr(0, 32);
}

double smallest_margin(const lm::Completion& completion) {
  double smallest = std::numeric_limits<double>::quiet_NaN();
  for (const auto& step : completion.top) {
    if (step.size() < 2) continue;
    const double margin = static_cast<double>(step[0].second) - static_cast<double>(step[1].second);
    if (!(smallest <= margin)) smallest = margin;
  }
  return smallest;
}

int64_t nll_tokens(const PromptRequest& request) {
  return std::ssize(request.prompt) + std::ssize(request.target_ids) - 1;
}

}  // namespace

struct PromptEvaluator::State {
  PromptEvaluatorParts parts;
  PromptEvaluatorOptions options;
  lm::Generator generator;
  std::unordered_map<std::string, JobPtr> in_flight;    // by key
  std::map<int64_t, JobPtr> written;                    // by the generator's ticket
  std::map<int64_t, std::pair<JobPtr, size_t>> judged;  // by the judge's ticket: job, answer
  std::deque<JobPtr> losses;                            // that wait for their target's loss
  int64_t loss_tokens = 0;                              // of these
  std::map<int64_t, Evaluated> ready;                   // by ticket
  int64_t tickets = 0, pending = 0, next_ticket = 1;
  EvaluationCounts counts;
  double model_s = 0;
  ScoreThreads threads;  // last: its jobs hold nothing of the others when these end

  State(PromptEvaluatorParts p, const PromptEvaluatorOptions& o)
      : parts(std::move(p)),
        options(o),
        generator(*parts.model.model, {.batch = o.batch,
                                       .prefill_tokens = o.prefill_tokens,
                                       .longest = o.longest,
                                       .tokenizer = &parts.model.tokenizer}),
        threads(o.threads) {}

  void require(const PromptRequest& request) const;
  void start(const JobPtr& job);
  void write();
  void take(const lm::Completion& completion);
  void score(const JobPtr& job, size_t index);
  void scored(const JobPtr& job, size_t index);
  void collect_judged(double timeout_s);
  void run_losses();
  void finish_if_done(const JobPtr& job);
  std::optional<Evaluated> take_ready();
  void work_once(bool wait);
};

void PromptEvaluator::State::require(const PromptRequest& request) const {
  base::check(request.n > 0 || !request.target_ids.empty(), "a request asks for something");
  const auto& config = parts.model.model->config();
  for (const int64_t id : request.target_ids) {
    if (id >= 0 && id < config.vocab_size) continue;
    throw base::data_error(base::str("target ", request.target, ": found token id ", id,
                                     ", expected one of 0 to ", config.vocab_size - 1));
  }
  if (request.target_ids.empty()) return;
  if (request.prompt.empty())
    throw base::data_error(base::str("target ", request.target,
                                     ": found an empty prompt, expected at least one token"));
  if (nll_tokens(request) > config.max_position_embeddings)
    throw base::data_error(base::str("target ", request.target, ": needs ", nll_tokens(request),
                                     " tokens behind its prompt, the model's context holds ",
                                     config.max_position_embeddings));
}

// The generator refuses before anything of the job is kept.
void PromptEvaluator::State::start(const JobPtr& job) {
  const auto& r = job->request;
  if (r.n > 0) {
    lm::GenerateRequest generate{.ids = r.prompt,
                                 .max_new_tokens = r.max_new_tokens,
                                 .stop_ids = r.stop_ids,
                                 .top = options.margins ? 2 : 0,
                                 .sampling = r.sampling,
                                 .n = r.n,
                                 .stop = r.stop};
    written[generator.submit(std::move(generate))] = job;
    job->unwritten = r.n;
    job->evaluation.answers.resize(static_cast<size_t>(r.n));
    counts.calls_executed += r.n;
  }
  if (!r.target_ids.empty()) {
    job->needs_nll = job->evaluation.has_nll = true;
    losses.push_back(job);
    loss_tokens += nll_tokens(r);
    ++counts.nll_passes;
  }
  in_flight[job->evaluation.key] = job;
}

// One pass of the model.
void PromptEvaluator::State::write() {
  const double begin = base::monotonic_seconds();
  const auto completion = generator.next(0);
  model_s += base::monotonic_seconds() - begin;
  if (completion) take(*completion);
}

void PromptEvaluator::State::take(const lm::Completion& completion) {
  const auto found = written.find(completion.request);
  const JobPtr job = found->second;
  const auto index = static_cast<size_t>(completion.index);
  auto& answer = job->evaluation.answers[index];
  answer.ids = completion.ids;
  answer.text = completion.text;
  answer.stop = completion.finish_reason;
  answer.tokens = std::ssize(answer.ids);
  answer.hash = answer_hash(answer);
  for (const float logprob : completion.logprobs)
    answer.logprob_sum += static_cast<double>(logprob);
  answer.margin = smallest_margin(completion);
  if (--job->unwritten == 0) written.erase(found);
  ++job->unscored;
  if (parts.score) {
    score(job, index);
  } else {
    scored(job, index);
  }
}

// The thread writes the terms of this answer and nothing else of the job.
void PromptEvaluator::State::score(const JobPtr& job, size_t index) {
  const auto error = std::make_shared<std::exception_ptr>();
  const auto* scorer = &parts.score;
  threads.add(
      [job, index, error, scorer] {
        auto& answer = job->evaluation.answers[index];
        try {
          answer.terms = (*scorer)(job->request, answer);
        } catch (...) {
          *error = std::current_exception();
        }
      },
      [this, job, index, error] {
        if (job->dropped) return;
        if (*error) job->error = *error;
        scored(job, index);
      });
}

void PromptEvaluator::State::scored(const JobPtr& job, size_t index) {
  --job->unscored;
  if (parts.judge && !job->error) {
    ++job->unjudged;
    const int64_t ticket = parts.judge->submit(job->request, job->evaluation.answers[index]);
    judged[ticket] = {job, index};
  }
  finish_if_done(job);
}

void PromptEvaluator::State::collect_judged(double timeout_s) {
  if (!parts.judge) return;
  while (auto found = parts.judge->next(timeout_s)) {
    timeout_s = 0;
    const auto entry = judged.find(found->first);
    if (entry == judged.end()) continue;  // of an evaluator that was dropped when a run stopped
    const auto [job, index] = entry->second;
    judged.erase(entry);
    job->evaluation.answers[index].terms.update(found->second);
    --job->unjudged;
    finish_if_done(job);
  }
}

void PromptEvaluator::State::run_losses() {
  std::vector<JobPtr> jobs;
  std::vector<lm::ScoreRequest> requests;
  int64_t tokens = 0;
  while (!losses.empty() && (jobs.empty() || tokens < options.nll_tokens)) {
    jobs.push_back(losses.front());
    losses.pop_front();
    const auto& r = jobs.back()->request;
    requests.push_back({.prompt = r.prompt, .continuation = r.target_ids});
    tokens += nll_tokens(r);
  }
  loss_tokens -= tokens;
  const double begin = base::monotonic_seconds();
  const auto found =
      lm::target_loss(*parts.model.model, requests, {.batch_tokens = options.nll_tokens});
  model_s += base::monotonic_seconds() - begin;
  for (size_t i = 0; i < jobs.size(); ++i) {
    auto& evaluation = jobs[i]->evaluation;
    evaluation.target_nll = found[i].nll;
    evaluation.nll = found[i].mean;
    evaluation.target_greedy = found[i].greedy;
    jobs[i]->needs_nll = false;
    finish_if_done(jobs[i]);
  }
}

void PromptEvaluator::State::finish_if_done(const JobPtr& job) {
  if (!job->done()) return;
  in_flight.erase(job->evaluation.key);
  if (job->error) std::rethrow_exception(job->error);
  job->evaluation.seconds = base::monotonic_seconds() - job->begin_s;
  for (size_t i = 0; i < job->tickets.size(); ++i) {
    const int64_t ticket = job->tickets[i];
    ready.emplace(ticket, Evaluated{ticket, job->evaluation, i > 0});
  }
}

std::optional<Evaluated> PromptEvaluator::State::take_ready() {
  if (ready.empty() || (options.in_order && ready.begin()->first != next_ticket))
    return std::nullopt;
  auto out = std::move(ready.begin()->second);
  ready.erase(ready.begin());
  ++next_ticket;
  --pending;
  return out;
}

// Whatever can be done now: one pass of the model, or a look at threads and sandbox.
void PromptEvaluator::State::work_once(bool wait) {
  const bool writes = generator.pending() > 0;
  if (!losses.empty() && (loss_tokens >= options.nll_tokens || !writes)) {
    run_losses();
  } else if (writes) {
    write();
  } else if (wait) {
    const bool judge_alone = in_flight.size() > 0 && !judged.empty();
    for (auto& finish : threads.done(judge_alone ? 0 : kLook_s)) finish();
    collect_judged(judge_alone ? kLook_s : 0);
  }
  for (auto& finish : threads.done(0)) finish();
  collect_judged(0);
}

PromptEvaluator::PromptEvaluator(PromptEvaluatorParts parts, const PromptEvaluatorOptions& options)
    : state_(std::make_unique<State>(std::move(parts), options)) {}

PromptEvaluator::~PromptEvaluator() = default;

int64_t PromptEvaluator::submit(PromptRequest request) {
  auto& s = *state_;
  s.require(request);
  auto key = evaluation_key(s.parts.identity, request);
  const int64_t n = request.n, ticket = s.tickets + 1;
  const auto running = s.in_flight.find(key);
  if (running != s.in_flight.end()) {
    running->second->tickets.push_back(ticket);
    s.counts.calls_shared += n;
  } else {
    const auto job = std::make_shared<Job>();
    job->request = std::move(request);
    job->evaluation.key = std::move(key);
    job->tickets = {ticket};
    job->begin_s = base::monotonic_seconds();
    s.start(job);
  }
  s.counts.calls_requested += n;
  ++s.pending;
  return ++s.tickets;
}

std::optional<Evaluated> PromptEvaluator::next(double timeout_s) {
  auto& s = *state_;
  const double end = timeout_s > 0 ? base::monotonic_seconds() + timeout_s : 0;
  for (;;) {
    if (auto found = s.take_ready()) return found;
    if (s.pending == 0) return std::nullopt;
    s.work_once(timeout_s != 0);
    if (timeout_s >= 0 && base::monotonic_seconds() >= end) return s.take_ready();
  }
}

int64_t PromptEvaluator::pending() const {
  return state_->pending;
}

int64_t PromptEvaluator::room() const {
  const auto& s = *state_;
  return std::min(kBatchesAhead * s.options.batch - s.generator.pending(),
                  kRequestsASlot * s.options.batch - s.pending);
}

void PromptEvaluator::cancel() {
  auto& s = *state_;
  s.generator.cancel();
  for (auto& [key, job] : s.in_flight) job->dropped = true;
  s.in_flight.clear(), s.written.clear(), s.judged.clear(), s.losses.clear(), s.ready.clear();
  s.loss_tokens = s.pending = 0;
  s.next_ticket = s.tickets + 1;
}

const EvaluationCounts& PromptEvaluator::counts() const {
  return state_->counts;
}

double PromptEvaluator::model_seconds() const {
  return state_->model_s;
}

}  // namespace preimage::eval
