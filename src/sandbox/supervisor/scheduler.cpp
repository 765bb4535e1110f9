#include "supervisor/scheduler.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <csignal>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "supervisor/loop_proof.hpp"
#include "supervisor/process_tree.hpp"

namespace preimage::sandbox {
namespace {

constexpr double kTurnCpuS = 0.05;   // CPU time after which a program makes room for another
constexpr double kTurnWallS = 0.15;  // likewise by the clock
constexpr double kProofCpuS = 0.05;  // after which it may be a loop without end
// A processor shared with others does less in a second. What has used so many times its limit in
// their company would have used it up alone; what has used less is asked again alone.
constexpr double kCompany = 1.5;
constexpr double kLookS = 0.05;      // how often a long-lived program is looked at
constexpr double kPatienceS = 5;     // that a time-out waits for its second run while others come
constexpr int kTries = 3;            // runs of a program whose sandbox fails
constexpr int kSlotPrograms = 1000;  // after which a slot is opened anew
constexpr double kSleepingShare = 0.1;  // of a processor; below it a program sleeps
// One program in so many is judged twice, the second time in a fresh process and another order.
constexpr uint64_t kRepeatedShare = 32;

}  // namespace

Scheduler::Scheduler(Events& events, const SchedulerOptions& options)
    : events_(events), options_(options) {
  ZygoteOptions zygote{Role::candidate, options.level, options.walls, options.limits,
                       options.python};
  candidates_ = start_zygote(zygote);
  zygote.role = Role::judge;
  judges_ = start_zygote(zygote);
  shared_bytes_ = resident_bytes(candidates_.pid);
}

Scheduler::~Scheduler() {
  slots_.clear();
  retired_.clear();
  for (auto* zygote : {&candidates_, &judges_}) {
    if (zygote->pid <= 0) continue;
    ::kill(zygote->pid, SIGKILL);
    ::waitpid(zygote->pid, nullptr, 0);
  }
}

void Scheduler::submit(uint64_t ticket, Request request) {
  Job job;
  job.ticket = ticket;
  job.request = std::move(request);
  waiting_.push_back(std::move(job));
}

Slot* Scheduler::idle_slot() {
  for (auto& slot : slots_) {
    if (slot && slot->idle()) return slot.get();
  }
  auto place = std::find(slots_.begin(), slots_.end(), nullptr);
  if (place == slots_.end()) {
    if (slots_.size() >= static_cast<size_t>(options_.slots)) return nullptr;
    place = slots_.insert(place, nullptr);
  }
  Slot::Options options{.index = static_cast<int>(place - slots_.begin()),
                        .limits = &options_.limits,
                        .use_cgroup = options_.walls.cgroup,
                        .events = &events_,
                        .ended = [this](Slot& slot) { ended(slot); }};
  *place = std::make_unique<Slot>(options, candidates_, judges_);
  return place->get();
}

void Scheduler::start(Job job) {
  Slot* slot = idle_slot();
  base::check(slot != nullptr, "a slot is free when a program starts");
  alone_ = job.alone;
  ++running_;
  ++foreground_;
  slot->start(std::move(job));
  slot->watch.lag_before_s = lag_s_;
}

// A second run has no company, so nothing may run; and newcomers may keep it waiting only so long.
bool Scheduler::may_confirm(double now) const {
  return !confirming_.empty() && (waiting_.empty() || now - confirming_since_s_ > kPatienceS);
}

void Scheduler::start_waiting() {
  const double now = base::monotonic_seconds();
  if (alone_ && running_ > 0) return;
  alone_ = false;
  if (may_confirm(now)) {
    if (running_ > 0) return;
    auto job = std::move(confirming_.front());
    confirming_.pop_front();
    return start(std::move(job));
  }
  // One more than the processors: while one program's namespaces are torn down, another computes.
  const int most = options_.workers + 1;
  while (!waiting_.empty() && foreground_ < most && running_ < options_.slots) {
    auto job = std::move(waiting_.front());
    waiting_.pop_front();
    start(std::move(job));
  }
}

void Scheduler::look_at(Slot& slot, double now) {
  slot.watch.next_look_s = now + kLookS;
  if (slot.program() == 0) return;
  const auto use = tree_use(slot.program(), shared_bytes_);
  if (slot.watch.threads == 0) slot.watch.judge_waited_s = run_delay_s(slot.judge());
  if (slot.watch.proof <= 0)  // until it is known what that costs
    slot.watch.cpu_s = std::max(slot.watch.cpu_s, use.cpu_s - slot.watch.proof_cost_s);
  slot.watch.threads = std::max(slot.watch.threads, use.threads);
  if (slot.watch.cpu_s > cpu_limit_s(slot)) {
    slot.watch.proved = true;
    slot.stop(Verdict::timeout,
              base::str("more than ", base::shortest(options_.limits.cpu_s), " s of CPU time"));
  }
  if (slot.killed_for_memory()) {
    slot.stop(Verdict::memory, base::str("out of memory: ", options_.limits.memory_mb, " MiB"));
  }
  if (options_.walls.poll && use.rss_bytes > options_.limits.memory_mb << 20) {
    slot.stop(Verdict::memory, base::str(use.processes, " processes hold more than ",
                                         options_.limits.memory_mb, " MiB"));
  }
}

// It need not be right at once where nobody asks again.
double Scheduler::cpu_limit_s(const Slot& slot) const {
  const bool strict = slot.job().alone || !options_.confirm_timeouts;
  return options_.limits.cpu_s * (strict ? 1 : kCompany);
}

// The time for which the program, its judge or this process, on whom it waits where its pipe is
// full, was kept from computing by others on this host, or by a proof.
double Scheduler::waited_s(Slot& slot, double now) const {
  const double proof =
      slot.watch.proof_s + (slot.watch.proof > 0 ? now - slot.watch.proof_begin_s : 0);
  if (!options_.confirm_timeouts || slot.program() == 0) return proof;
  const double judge = run_delay_s(slot.judge()) - slot.watch.judge_waited_s;
  return proof + run_delay_s(slot.program()) + std::max(0.0, judge) + lag_s_ -
         slot.watch.lag_before_s;
}

// Of a single thread it is known what it waited for; of several it is not: one may have waited for
// another that was kept from computing.
void Scheduler::end_by_clock(Slot& slot, double now) {
  const double limit = options_.limits.wall_s, wall = now - slot.started_s();
  if (wall <= limit || wall - waited_s(slot, now) <= limit) return;
  slot.watch.proved = slot.watch.threads == 1;
  slot.stop(Verdict::timeout, base::str("more than ", base::shortest(limit), " s by the clock"));
}

// Most loops without end come back to where they were; that is seen in a fraction of the time that
// it takes to wait for their limit, twice.
void Scheduler::look_for_loop(Slot& slot, double now) {
  auto& seen = slot.watch;
  if (!seen.proof_tried && seen.cpu_s > kProofCpuS && slot.program() > 0 &&
      proofs_ < options_.workers) {
    seen.proof_tried = true;
    seen.proof = start_proof(slot.program());
    seen.proof_begin_s = now;
    proofs_ += seen.proof > 0;
  }
  if (seen.proof <= 0) return;
  const auto state = proof_state(seen.proof);
  if (state.proof == Proof::open) return;
  seen.proof = 0;
  --proofs_;
  seen.proof_s = now - seen.proof_begin_s;
  seen.proof_cost_s = state.cost_s;
  if (state.proof != Proof::found) return;
  seen.proved = true;
  slot.stop(Verdict::timeout, "a loop without end: it comes back to the state in which it was");
}

void Scheduler::watch(Slot& slot, double now) {
  const double wall = now - slot.started_s();
  end_by_clock(slot, now);
  if (slot.watch.next_look_s == 0) slot.watch.next_look_s = slot.started_s() + kLookS;
  if (now < slot.watch.next_look_s) return;
  look_at(slot, now);
  auto& seen = slot.watch;
  look_for_loop(slot, now);
  const bool turn_over = wall > kTurnWallS || seen.cpu_s >= kTurnCpuS;
  if (slot.job().alone || !turn_over) return;
  if (!seen.background) --foreground_;
  seen.background = true;
  const bool computes = seen.cpu_s >= kTurnCpuS && seen.cpu_s >= kSleepingShare * wall;
  if (computes && seen.proof_tried && seen.proof == 0 && !seen.idle_class && !seen.promoted) {
    set_share(slot.program(), Share::leftover);
    seen.idle_class = true;
  }
}

// Of the long computations the oldest get half of the processors, so that each comes to its end one
// after the other and none is left over at the end; the rest get what nobody wants.
void Scheduler::promote() {
  int normal = std::max(1, options_.workers / 2);
  std::vector<Slot*> idle;
  for (const auto& slot : slots_) {
    if (!slot || slot->idle() || !slot->watch.background) continue;
    if (slot->watch.idle_class) {
      idle.push_back(slot.get());
    } else if (slot->watch.promoted) {
      --normal;
    }
  }
  std::sort(idle.begin(), idle.end(),
            [](const Slot* a, const Slot* b) { return a->started_s() < b->started_s(); });
  for (Slot* slot : idle) {
    if (normal-- <= 0) break;
    set_share(slot->program(), Share::first);
    slot->watch.idle_class = false;
    slot->watch.promoted = true;
  }
}

int Scheduler::step() {
  const double begin = base::monotonic_seconds();
  lag_s_ += std::max(0.0, begin - due_s_);
  const int wait_ms = look_at_all(begin);
  const double end = base::monotonic_seconds();
  lag_s_ += end - begin;
  due_s_ = wait_ms < 0 ? INFINITY : end + 1e-3 * wait_ms;
  return wait_ms;
}

int Scheduler::look_at_all(double now) {
  retired_.clear();
  start_waiting();
  double next = INFINITY;
  for (const auto& slot : slots_) {
    if (!slot || slot->idle()) continue;
    watch(*slot, now);
    slot->end_if_over(now);
    next = std::min({next, slot->watch.next_look_s, slot->must_end_s()});
  }
  promote();
  start_waiting();  // into the places of those that have gone to the background
  if (running_ == 0 && idle()) return -1;
  if (next == INFINITY) return 10;
  return std::clamp(static_cast<int>((next - now) * 1000) + 1, 1, 1000);
}

void Scheduler::ended(Slot& slot) {
  if (!slot.watch.background) --foreground_;
  --running_;
  if (slot.watch.proof > 0) {  // its process is gone, and so it ends at once
    ::waitpid(slot.watch.proof, nullptr, 0);
    --proofs_;
  }
  auto [job, run] = slot.take();
  if (slot.broken() || slot.programs() >= kSlotPrograms) {
    // It is the slot that calls: it goes in the next step.
    for (auto& place : slots_) {
      if (place.get() == &slot) retired_.push_back(std::move(place));
    }
  }
  settle(std::move(job), std::move(run));
}

// A time-out that may be the company's fault, and what ended though it was over its limit.
bool Scheduler::needs_second_run(const Job& job, const Run& run) const {
  if (!options_.confirm_timeouts || job.alone) return false;
  if (run.verdict != Verdict::timeout)
    return run.verdict != Verdict::infra && run.cpu_s > options_.limits.cpu_s;
  return !run.proved && run.wall_s > 0.5 * options_.limits.cpu_s;
}

void Scheduler::settle(Job job, Run run) {
  if (run.verdict == Verdict::infra && run.retry && job.runs < kTries) {
    waiting_.push_front(std::move(job));
    return;
  }
  if (needs_second_run(job, run)) {
    job.first_verdict = Verdict::timeout;
    job.alone = true;
    if (confirming_.empty()) confirming_since_s_ = base::monotonic_seconds();
    confirming_.push_back(std::move(job));
    return;
  }
  if (run.verdict == Verdict::pass && job.runs == 1 && job.request.seed % kRepeatedShare == 0) {
    job.first_verdict = run.verdict;
    waiting_.push_front(std::move(job));
    return;
  }
  Record record;
  record.ticket = job.ticket;
  record.id = std::move(job.request.id);
  record.verdict = run.verdict;
  record.detail = run.detail;
  if (job.first_verdict == Verdict::pass && run.verdict != Verdict::pass) {
    record.verdict = run.verdict == Verdict::infra ? run.verdict : Verdict::wrong;
    record.detail = "in a fresh process it passed once and not again: " + run.detail;
  }
  record.cpu_s = run.cpu_s;
  record.wall_s = run.wall_s;
  record.max_rss_mb = run.rss_mb;
  record.runs = job.runs;
  record.first_verdict = job.first_verdict.value_or(record.verdict);
  record.output = std::move(run.output);
  record.facts = std::move(run.facts);
  options_.done(std::move(record));
}

}  // namespace preimage::sandbox
