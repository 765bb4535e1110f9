#include "supervisor/slot.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "protocol.hpp"
#include "supervisor/process_tree.hpp"

namespace preimage::sandbox {
namespace {

using base::Json;

constexpr double kGraceS = 0.02;
constexpr double kShortS = 0.05;
constexpr size_t kTail = 4096;              // bytes of output that a record keeps
constexpr size_t kSaid = 64 << 10;          // bytes that a judge may say
constexpr int64_t kCgroupSlack = 96 << 20;  // the zygotes' own

// An observed program's facts come framed like a reply (worker/codec.py).
constexpr size_t kFrameHeader = 20;

// Ended by a fault of its own, not by somebody's kill.
bool is_fault(int signal) {
  switch (signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGABRT:
    case SIGSYS:
    case SIGTRAP:
    case SIGSTKFLT:
      return true;
    default:
      return false;
  }
}

std::string random_tag(const Job& job) {
  // Known to the program as well as to its judge: it tells runs apart, it keeps no secret.
  const auto text = base::str(job.ticket, ":", job.runs, ":", base::monotonic_seconds());
  return base::sha256_hex(text).substr(0, 32);
}

// RLIMIT_CPU counts whole seconds of one process: a net below the supervisor's own limit. The
// program's slot looks for the file of an observed one, when its processes are gone.
std::string message_for(int run, const Limits& limits, const std::optional<Observation>& observe) {
  Json message = {{"job", run}, {"cpu_s", static_cast<int64_t>(1.5 * limits.cpu_s) + 2}};
  if (observe && !observe->file.empty()) message["file"] = {observe->file, observe->file_marker};
  return message.dump();
}

// The program writes and goes on, also while this process has no time to read: what it then waited
// for would be our fault. A kernel that grants less makes it wait.
void make_room(int pipe, const Limits& limits) {
  constexpr int64_t kMost = 1 << 20;  // fs.pipe-max-size
  ::fcntl(pipe, F_SETPIPE_SZ, static_cast<int>(std::min(kMost, limits.output_kb << 10)));
}

}  // namespace

Slot::Slot(const Options& options, const Zygote& candidates, const Zygote& judges)
    : options_(options) {
  if (options_.use_cgroup) {
    cgroup_ = Cgroup::make(base::str("preimage-", ::getpid(), "-", options_.index),
                           (options_.limits->memory_mb << 20) + kCgroupSlack,
                           options_.limits->processes + 8);
  }
  open(candidate_, candidates);
  open(judge_, judges);
  if (cgroup_) cgroup_->add(candidate_.zygote);
  if (options_.count_cpu && !(cgroup_ && cgroup_->cpu_s())) {
    throw base::unavailable_error(
        "sandbox: found no control group for a slot, though one could be made at the start; its "
        "programs' CPU time would not be counted in full");
  }
  group_cpu_before_s_ = group_cpu_s_ = group_cpu_s();
  for (Side* side : {&candidate_, &judge_}) {
    set_nonblocking(side->control.get());
    options_.events->add(side->control.get(), [this, side] { hear(*side); });
  }
}

Slot::~Slot() {
  close_run();
  for (Side* side : {&candidate_, &judge_}) {
    if (!side->control) continue;
    options_.events->remove(side->control.get());
    if (side->zygote > 0) ::kill(side->zygote, SIGKILL);
  }
}

void Slot::open(Side& side, const Zygote& zygote) {
  auto control = make_sockets(SOCK_SEQPACKET);
  const int on = 1;
  ::setsockopt(control.first.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  const Json open = {{"uid", 1 + options_.index}};
  send_packet(zygote.control.get(), open.dump(), {control.second.get()});
  control.second.reset();
  bool empty = false;
  const auto answer = receive_packet(zygote.control.get(), empty);
  if (answer.text.find("opened") == std::string::npos) {
    throw base::unavailable_error("sandbox: a slot could not be opened: " +
                                  (answer.text.empty() ? "the zygote is gone" : answer.text));
  }
  side.zygote = receive_packet(control.first.get(), empty).pid;
  if (side.zygote <= 0) throw base::unavailable_error("sandbox: a slot ended while it was opened");
  side.control = std::move(control.first);
}

void Slot::start(Job job) {
  base::check(idle(), "a slot runs one program at a time");
  job_ = std::move(job);
  ++job_->runs;
  ++programs_;
  const auto tag = random_tag(*job_);
  auto requests = make_pipe(), replies = make_pipe(), output = make_pipe(), verdicts = make_pipe();
  const bool judged = !job_->request.observe;
  const auto program = memory_file(candidate_job(*job_, tag).dump());
  make_room(output.second.get(), *options_.limits);
  started_s_ = base::monotonic_seconds();
  over_s_ = 0;
  judge_cpu_before_s_ = process_cpu_s(judge_pid_);
  judge_delay_before_s_ = INFINITY;  // it is looked at when the run lasts
  const auto message = message_for(programs_, *options_.limits, job_->request.observe);
  bool sent =
      send_packet(candidate_.control.get(), message,
                  {program.get(), requests.first.get(), replies.second.get(), output.second.get()});
  candidate_.running = sent;
  if (judged && sent) {
    const auto tests = memory_file(judge_job(*job_, tag).dump());
    sent = send_packet(
        judge_.control.get(), message,
        {tests.get(), replies.first.get(), requests.second.get(), verdicts.second.get()});
    judge_.running = sent;
  }
  output_ = std::move(output.first);
  // Nobody judges an observed program; its facts come the way answers do.
  verdicts_ = std::move(judged ? verdicts.first : replies.first);
  for (const int fd : {output_.get(), verdicts_.get()}) set_nonblocking(fd);
  options_.events->add(output_.get(), [this] { hear_output(); });
  if (!sent) broken_ = true;
}

pid_t Slot::program() {
  if (program_ == 0 && candidate_.running) {
    const auto children = children_of(candidate_.zygote);
    if (!children.empty()) program_ = children.front();
  }
  return program_;
}

// The slot's own process is in the group, too.
double Slot::group_cpu_s() const {
  if (!options_.count_cpu) return 0;
  return cgroup_->cpu_s().value_or(0) - process_cpu_s(candidate_.zygote);
}

std::optional<double> Slot::counted_cpu_s() {
  if (!options_.count_cpu) return std::nullopt;
  group_cpu_s_ = group_cpu_s();
  return group_cpu_s_ - group_cpu_before_s_;
}

double Slot::judge_cpu_s() const {
  return std::max(0.0, process_cpu_s(judge_pid_) - judge_cpu_before_s_);
}

double Slot::judge_delay_s() {
  const double delay_s = run_times(judge_pid_).delay_s;
  judge_delay_before_s_ = std::min(judge_delay_before_s_, delay_s);
  return delay_s - judge_delay_before_s_;
}

void Slot::new_judge(pid_t pid) {
  judge_.judge = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  judge_pid_ = pid;
  judge_cpu_before_s_ = judge_delay_before_s_ = 0;
}

void Slot::end_candidate() {
  must_end_s_ = INFINITY;
  if (!candidate_.running) return;
  must_end_s_ = base::monotonic_seconds() + kGraceS;  // again, if it has not begun, or will not end
  const pid_t pid = program();
  const Descriptor process(pid ? static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)) : -1);
  // Asked again: what has that number now may be another's process.
  const auto children = children_of(candidate_.zygote);
  if (!process || std::find(children.begin(), children.end(), pid) == children.end()) return;
  ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
}

void Slot::end_judge() {
  if (!judge_.running || !judge_.judge) return;
  judge_killed_ = ::syscall(SYS_pidfd_send_signal, judge_.judge.get(), SIGKILL, nullptr, 0) == 0 ||
                  judge_killed_;
}

void Slot::listen() {
  if (listens_ || !verdicts_) return;
  listens_ = true;
  options_.events->add(verdicts_.get(), [this] { hear_verdict(); });
}

void Slot::stop(Verdict verdict, const std::string& detail) {
  if (!job_ || stopped_) return;
  // What has been said by now counts: a repetition may be what ran over a limit.
  if (verdicts_) hear_verdict();
  if (decided_) return;
  stopped_ = verdict;
  stop_detail_ = detail;
  over_s_ = base::monotonic_seconds();
  end_candidate();
  end_judge();
}

void Slot::hear(Side& side) {
  for (;;) {
    bool empty = false;
    const auto packet = receive_packet(side.control.get(), empty);
    if (empty) break;
    if (packet.text.empty()) {  // the zygote ended
      options_.events->remove(side.control.get());
      broken_ = true;
      side.running = false;
      if (&side == &candidate_) {
        end_judge();
      } else {
        end_candidate();
      }
      break;
    }
    const auto message = Json::parse(packet.text);
    if (message.contains("judge")) {
      new_judge(packet.pid);
      if (stopped_) end_judge();  // it was to end before it began
    } else if (message.contains("died")) {
      hear_died(message.at("died"));
    } else if (message.contains("ended")) {
      // Killed while it said so, it is over when it has died: its death must not meet the next run.
      const bool waits = &side == &judge_ && judge_killed_;
      if (!waits && message.at("ended") == programs_) hear_ended(side, message);
    }
  }
  finish_when_over();
}

void Slot::hear_died(int status) {
  if (status == 0 && !judge_killed_) return;  // by itself, after it had ended its last run
  judge_killed_ = false;
  judge_.running = false;
  judge_status_ = status;
  end_candidate();
}

void Slot::hear_ended(Side& side, const Json& message) {
  side.running = false;
  if (&side == &judge_) {
    if (!stopped_) over_s_ = message.at("at");
    // Nobody asks any more: a program ends by itself when its pipe does, and costs no kill.
    must_end_s_ = base::monotonic_seconds() + kGraceS;
    return;
  }
  program_ = 0;
  status_ = message.at("status");
  cpu_s_ = message.at("cpu_s");
  rss_mb_ = message.at("rss_kb").get<double>() / 1024;
  lived_s_ = message.at("at").get<double>() - started_s_;
  if (over_s_ == 0 && job_->request.observe) over_s_ = message.at("at");
  if (message.contains("file")) file_written_ = message.at("file").get<bool>();
}

void Slot::end_if_over(double now) {
  if (now >= must_end_s_) end_candidate();
}

void Slot::hear_output() {
  char buffer[1 << 16];
  const auto& observe = job_->request.observe;
  for (;;) {
    const ssize_t got = ::read(output_.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (got == 0) options_.events->remove(output_.get());
      return;
    }
    const std::string_view part(buffer, static_cast<size_t>(got));
    written_ += got;
    tail_ += part;
    if (observe && !observe->stdout_marker.empty() && !marker_seen_) {
      marker_window_ += part;
      marker_seen_ = marker_window_.find(observe->stdout_marker) != std::string::npos;
      const size_t keep = std::min(marker_window_.size(), observe->stdout_marker.size());
      marker_window_.erase(0, marker_window_.size() - keep);
    }
    if (tail_.size() > kTail) tail_.erase(0, tail_.size() - kTail);
    if (written_ > options_.limits->output_kb << 10) {
      stop(Verdict::output, base::str("more than ", options_.limits->output_kb, " KiB of output"));
      return;
    }
  }
}

void Slot::hear_verdict() {
  char buffer[1 << 14];
  for (;;) {
    const ssize_t got = ::read(verdicts_.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return;
    if (got == 0) {
      options_.events->remove(verdicts_.get());
      // At the end of the stream the judge has said all. Facts come from the program itself.
      if (!said_.empty() && !stopped_) decided_ = true;
      return;
    }
    if (said_.size() < kSaid) said_.append(buffer, static_cast<size_t>(got));
    if (!held_ && !stopped_ && tests_held(said_)) hear_held();
  }
}

// What is asked again from here on costs the program nothing.
void Slot::hear_held() {
  held_ = true;
  held_s_ = base::monotonic_seconds();
  const bool short_one = held_s_ - started_s_ < kShortS;  // and so below any limit
  if (short_one) return;
  const pid_t pid = program();
  held_cpu_s_ = std::max(counted_cpu_s().value_or(0), pid ? tree_use(pid, 0).cpu_s : 0);
}

void Slot::finish_when_over() {
  if (!job_ || candidate_.running || judge_.running) return;
  // All writers are gone: what is in the pipes is all there is.
  if (output_) hear_output();
  if (verdicts_) hear_verdict();
  options_.ended(*this);
}

Verdict Slot::verdict_of_death(std::string& detail) const {
  if (WIFSIGNALED(status_)) {
    const int signal = WTERMSIG(status_);
    detail = base::str("signal ", signal, " (SIG", ::sigabbrev_np(signal), ")");
    if (signal == SIGXCPU) return Verdict::timeout;
    if (signal == SIGKILL && cpu_s_ > options_.limits->cpu_s) return Verdict::timeout;
    return is_fault(signal) ? Verdict::crash : Verdict::no_verdict;
  }
  detail = base::str("ended with exit code ", WEXITSTATUS(status_), " before it had answered");
  return Verdict::no_verdict;
}

bool Slot::killed_for_memory() {
  const bool killed = WIFSIGNALED(status_) && WTERMSIG(status_) == SIGKILL;
  // A program that was there for milliseconds and ended by itself had no time to be killed.
  if (!cgroup_ || (!killed && !broken_ && program_ == 0 && lived_s_ < 0.02)) return false;
  oom_seen_ = oom_seen_ || cgroup_->oom_kills() > oom_kills_;
  return oom_seen_;
}

Run Slot::conclude() {
  Run run;
  const double cpu_s = std::max(cpu_s_, counted_cpu_s().value_or(0));
  run.cpu_s = std::max(cpu_s - watch.proof_cost_s, watch.cpu_s);
  run.wall_s = (over_s_ > 0 ? over_s_ : base::monotonic_seconds()) - started_s_;
  run.rss_mb = rss_mb_;
  run.output = tail_;
  if (held_) {
    run.wall_s = std::min(run.wall_s, held_s_ - started_s_);
    run.cpu_s = std::min(run.cpu_s, held_cpu_s_ - watch.proof_cost_s);
    const auto said = parse_verdict(said_);
    run.verdict = said.gone ? Verdict::pass : said.verdict;
    run.detail = said.gone ? "" : said.detail;
    return run;
  }
  const bool out_of_memory = killed_for_memory();
  if (stopped_ && !out_of_memory) {
    run.verdict = *stopped_;
    run.detail = stop_detail_;
    run.proved = watch.proved;
    return run;
  }
  if (broken_ && !out_of_memory) {
    run.detail = "a zygote ended";
    run.retry = true;
    return run;
  }
  if (job_->request.observe) {
    run.verdict = verdict_of_death(run.detail);
    const Seen seen{status_, marker_seen_, file_written_};
    run.facts =
        facts_of(*job_, said_.size() > kFrameHeader ? said_.substr(kFrameHeader) : "", seen);
  } else {
    const auto said = parse_verdict(said_);
    run.verdict = said.verdict;
    run.detail = said.detail;
    run.retry = said.retry;
    if (said.gone) run.verdict = verdict_of_death(run.detail);
    if (said_.empty() && judge_status_ < 0)
      run.detail += base::str(": signal ", -judge_status_);
    else if (said_.empty())
      run.detail += base::str(": exit code ", judge_status_);
  }
  const auto limit = static_cast<double>(options_.limits->memory_mb);
  const bool failed = run.verdict == Verdict::error || run.verdict == Verdict::wrong ||
                      run.verdict == Verdict::no_verdict ||
                      (run.verdict == Verdict::crash && WIFSIGNALED(status_));
  if (out_of_memory || (failed && run.rss_mb > 0.9 * limit)) {
    run.verdict = Verdict::memory;
    run.detail = base::str("out of memory: ", options_.limits->memory_mb, " MiB");
  }
  return run;
}

Slot::Ended Slot::take() {
  Ended ended{std::move(*job_), {}};
  job_ = ended.job;
  ended.run = conclude();
  close_run();
  return ended;
}

void Slot::close_run() {
  for (Descriptor* end : {&output_, &verdicts_}) {
    if (*end) options_.events->remove(end->get());
    end->reset();
  }
  job_.reset();
  program_ = 0;
  decided_ = marker_seen_ = held_ = listens_ = false;
  must_end_s_ = INFINITY;
  watch = {};
  stopped_.reset();
  for (auto* text : {&stop_detail_, &said_, &tail_, &marker_window_}) text->clear();
  written_ = 0;
  status_ = judge_status_ = 0;
  group_cpu_before_s_ = group_cpu_s_;
  held_cpu_s_ = INFINITY;
  if (oom_seen_) oom_kills_ = cgroup_->oom_kills();
  oom_seen_ = false;
  cpu_s_ = rss_mb_ = lived_s_ = 0;
  file_written_.reset();
}

}  // namespace preimage::sandbox
