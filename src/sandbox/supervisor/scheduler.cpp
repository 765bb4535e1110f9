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
// Of the wall limit: as much CPU time its judge may spend on what a program returned.
constexpr double kJudgeShare = 2.0 / 3;

std::string over_cpu(const Limits& limits) {
  return base::str("more than ", base::shortest(limits.cpu_s), " s of CPU time");
}

std::string over_wall(const Limits& limits) {
  return base::str("more than ", base::shortest(limits.wall_s), " s by the clock");
}

}  // namespace

Scheduler::Scheduler(Events& events, const SchedulerOptions& options)
    : events_(events), options_(options) {
  if (options.walls.cgroup) cgroup_ = Cgroup::kind();
  ZygoteOptions zygote{Role::candidate, options.level,  options.walls,
                       options.limits,  options.python, !cgroup_.counts_cpu};
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
                        .count_cpu = cgroup_.counts_cpu,
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

void Scheduler::look_at_delays(Slot& slot) {
  auto& seen = slot.watch;
  seen.judge_delay_s = std::max(seen.judge_delay_s, slot.judge_delay_s());
  if (slot.program() == 0) return;  // it has ended: what was seen last holds
  const auto times = run_times(slot.program());
  seen.main_s = times.running_s;
  seen.delay_s = times.delay_s;
}

void Scheduler::look_at_judge(Slot& slot) {
  const double limit = kJudgeShare * options_.limits.wall_s;
  if (slot.judge_cpu_s() <= limit) return;
  slot.watch.proved = true;
  slot.stop(Verdict::timeout, base::str("its judge needed more than ", base::shortest(limit),
                                        " s of CPU time for what it returned"));
}

void Scheduler::end_by_memory(Slot& slot, int processes, int64_t rss_bytes) {
  const auto limit = options_.limits.memory_mb;
  if (slot.killed_for_memory())
    slot.stop(Verdict::memory, base::str("out of memory: ", limit, " MiB"));
  if (options_.walls.poll && rss_bytes > limit << 20)
    slot.stop(Verdict::memory, base::str(processes, " processes hold more than ", limit, " MiB"));
}

void Scheduler::look_at(Slot& slot, double now) {
  auto& seen = slot.watch;
  seen.next_look_s = now + kLookS;
  slot.listen();
  look_at_delays(slot);
  look_at_judge(slot);
  if (slot.program() == 0) return;
  const auto use = tree_use(slot.program(), shared_bytes_);
  const double cpu_s = std::max(use.cpu_s, slot.counted_cpu_s().value_or(0));
  if (seen.proof <= 0)  // until it is known what that costs
    seen.cpu_s = std::max(seen.cpu_s, cpu_s - seen.proof_cost_s);
  seen.threads = std::max(seen.threads, use.threads);
  if (seen.cpu_s > cpu_limit_s(slot)) {
    seen.proved = true;
    slot.stop(Verdict::timeout, over_cpu(options_.limits));
  }
  end_by_memory(slot, use.processes, use.rss_bytes);
}

// Nobody asks again what its last run said.
bool Scheduler::is_strict(const Job& job) const {
  return job.alone || !options_.confirm_timeouts;
}

double Scheduler::cpu_limit_s(const Slot& slot) const {
  return options_.limits.cpu_s * (is_strict(slot.job()) ? 1 : kCompany);
}

// The time for which a proof, or others on this host, kept the program or its judge from computing.
// What the program's own processes and threads take from each other, or from its judge, it has
// itself to thank for, and a program that sleeps waits for nobody.
double Scheduler::waited_s(const Slot::Watch& seen, double now) const {
  const double proof = seen.proof_s + (seen.proof > 0 ? now - seen.proof_begin_s : 0);
  if (!options_.confirm_timeouts) return proof;
  const double besides_s = std::max(0.0, seen.cpu_s - seen.main_s);
  // A proof's time counts whole: not once more what the program waited meanwhile.
  const double meanwhile_s =
      seen.proof > 0 ? seen.delay_s - seen.delay_before_proof_s : seen.delay_in_proof_s;
  return proof + std::max(0.0, seen.delay_s - meanwhile_s - besides_s) +
         std::max(0.0, seen.judge_delay_s - seen.cpu_s);
}

// Of a single thread it is known what it waited for; of several it is not: one may have waited for
// another that was kept from computing.
void Scheduler::end_by_clock(Slot& slot, double now) {
  const double limit = options_.limits.wall_s, wall = now - slot.started_s();
  if (wall <= limit) return;
  look_at_delays(slot);
  if (wall - waited_s(slot.watch, now) <= limit) return;
  slot.watch.proved = slot.watch.threads == 1;
  slot.stop(Verdict::timeout, over_wall(options_.limits));
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
    seen.delay_before_proof_s = seen.delay_s;
    proofs_ += seen.proof > 0;
  }
  if (seen.proof <= 0) return;
  const auto state = proof_state(seen.proof);
  if (state.proof == Proof::open) return;
  seen.proof = 0;
  --proofs_;
  seen.proof_s = now - seen.proof_begin_s;
  seen.delay_in_proof_s = seen.delay_s - seen.delay_before_proof_s;
  seen.proof_cost_s = state.cost_s;
  if (state.proof != Proof::found) return;
  seen.proved = true;
  slot.stop(Verdict::timeout, "a loop without end: it comes back to the state in which it was");
}

void Scheduler::watch(Slot& slot, double now) {
  if (slot.over()) {  // and what was seen until then counts
    slot.watch.next_look_s = now + kLookS;
    return;
  }
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
  const double now = base::monotonic_seconds();
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
  auto seen = slot.watch;
  auto [job, run] = slot.take();
  seen.cpu_s = std::max(seen.cpu_s, run.cpu_s);
  run.waited_s = std::clamp(waited_s(seen, slot.started_s() + run.wall_s), 0.0, run.wall_s);
  run.wall_s -= run.waited_s;
  if (slot.broken() || slot.programs() >= kSlotPrograms) {
    // It is the slot that calls: it goes in the next step.
    for (auto& place : slots_) {
      if (place.get() == &slot) retired_.push_back(std::move(place));
    }
  }
  settle(std::move(job), std::move(run));
}

bool Scheduler::is_over(const Run& run) const {
  return run.cpu_s > options_.limits.cpu_s || run.wall_s > options_.limits.wall_s;
}

// A time-out that may be the company's fault, and what ended though it was over its limits.
bool Scheduler::needs_second_run(const Job& job, const Run& run) const {
  if (is_strict(job)) return false;
  if (run.verdict != Verdict::timeout) return run.verdict != Verdict::infra && is_over(run);
  return !run.proved && run.wall_s > 0.5 * options_.limits.cpu_s;
}

void Scheduler::settle(Job job, Run run) {
  if (run.verdict == Verdict::infra && run.retry && job.runs < kTries) {
    waiting_.push_front(std::move(job));
    return;
  }
  // Time says nothing against answers that were right within it.
  if (job.passed && run.verdict == Verdict::timeout) run = *std::move(job.passed);
  if (needs_second_run(job, run)) {
    job.first_verdict = Verdict::timeout;
    job.alone = true;
    if (confirming_.empty()) confirming_since_s_ = base::monotonic_seconds();
    confirming_.push_back(std::move(job));
    return;
  }
  if (run.verdict == Verdict::pass && is_over(run)) {  // nobody had looked in time
    run.verdict = Verdict::timeout;
    run.detail =
        run.cpu_s > options_.limits.cpu_s ? over_cpu(options_.limits) : over_wall(options_.limits);
  }
  if (run.verdict == Verdict::pass && job.runs == 1 && job.request.seed % kRepeatedShare == 0) {
    job.first_verdict = run.verdict;
    job.passed = std::move(run);
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
  record.waited_s = run.waited_s;
  record.max_rss_mb = run.rss_mb;
  record.runs = job.runs;
  record.first_verdict = job.first_verdict.value_or(record.verdict);
  record.output = std::move(run.output);
  record.facts = std::move(run.facts);
  options_.done(std::move(record));
}

}  // namespace preimage::sandbox
