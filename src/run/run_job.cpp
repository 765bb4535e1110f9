#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/terminal.hpp"
#include "preimage/cluster/placement.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/job.hpp"
#include "preimage/run/lock.hpp"
#include "preimage/run/manifest.hpp"
#include "preimage/run/progress.hpp"
#include "preimage/run/recorder.hpp"
#include "preimage/run/sweep.hpp"
#include "preimage/run/watchdog.hpp"

namespace preimage::run {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str;

constexpr double kStopReserve_s = 30;

void print_error(const std::string& text) {
  std::fprintf(stderr, "preimage: %s\n", base::visible_text(text).c_str());
}

struct End {
  base::ExitCode code;
  std::string reason;
  int culprit = RunState::kUnknown;
};

// Writes how the run ended into state.json, keeping its counts.
void write_end(const fs::path& out, int64_t generation, const End& end) {
  const auto& [code, reason, culprit] = end;
  auto state = read_state(out);
  state.generation = generation;
  state.culprit = culprit;
  state.status = code == base::ExitCode::ok        ? "done"
                 : code == base::ExitCode::stopped ? "stopped"
                                                   : "failed";
  state.reason = reason;
  state.exit_code = static_cast<int>(code);
  write_state(out, state);
}

class JobRun {
 public:
  JobRun(const cluster::Session& session, const JobRequest& request,
         const ExperimentFactory& factory)
      : session_(session), world_(session.world()), request_(request), factory_(factory) {}

  int operator()();
  void report(const End& end);

 private:
  void load();
  void open_folder();
  void open_log();
  void start_watchdog();
  void open_recorder();
  int64_t planned_units();
  void run_combinations();
  Context context_of(const Combination& combination);
  void end();

  const cluster::Session& session_;
  const cluster::Communicator& world_;
  const cluster::Communicator worker_ = cluster::alone();  // one rank a worker
  SharedObjects shared_;
  const JobRequest& request_;
  const ExperimentFactory& factory_;
  Job job_;
  cluster::Placement placement_;
  std::unique_ptr<base::Budget> budget_;
  std::unique_ptr<FolderLock> lock_;  // rank 0
  FolderClaim claim_;
  bool ours_ = false;  // the folder is locked for this run
  std::string identity_;
  Json versions_;
  base::Log log_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<Watchdog> watchdog_;
};

void JobRun::load() {
  // The file is read once, and refused once.
  const auto text = cluster::on_root(world_, [&] {
    if (request_.out.empty()) throw base::config_error("--out is missing: name the run's folder");
    base::require_named_file(request_.job);
    const auto found = base::read_file(request_.job, 1 << 20);
    parse_job(found, request_, factory_, true);
    return found;
  });
  job_ = parse_job(text, request_, factory_, false);
}

void JobRun::open_folder() {
  const auto& run = job_.combinations.front().run;
  placement_ = cluster::place(
      session_,
      {.device = run.device, .threads = static_cast<int>(run.threads), .share_gpu = run.share_gpu});
  cluster::apply(placement_);
  cluster::together(
      world_, [&] { budget_ = std::make_unique<base::Budget>(run.walltime_s, kStopReserve_s); });
  const auto opened = Json::parse(cluster::on_root(world_, [&] {
    prepare_folder(request_.out);
    lock_ = std::make_unique<FolderLock>(
        request_.out, LockOptions{.on_lost = [this] { budget_->request_stop(); }});
    std::set<std::string> files;
    for (const auto& combination : job_.combinations) {
      for (const auto& file : combination.experiment->identity_files()) files.insert(file);
    }
    const auto identity = make_identity(
        {job_.method, job_.identity, job_.sweep, {files.begin(), files.end()}}, request_.out);
    write_manifest(request_.out, identity, job_.combinations.front().config, request_.resume);
    fs::create_directories(request_.out / "log");
    fs::create_directories(request_.out / "alive");
    return Json{{"identity", identity.hash}, {"lock", lock_->content()}}.dump();
  }));
  identity_ = opened["identity"];
  claim_ = FolderClaim(request_.out, opened["lock"]);
  ours_ = true;
}

void JobRun::open_log() {
  char name[32];
  std::snprintf(name, sizeof name, "rank-%03d.log", world_.rank());
  cluster::together(world_, [&] {
    log_ =
        base::Log({.file = request_.out / "log" / name,
                   .terminal = true,
                   .terminal_level = world_.root() ? base::LogLevel::info : base::LogLevel::error,
                   .prefix = world_.size() > 1 ? str("rank ", world_.rank()) : ""});
  });
}

void JobRun::open_recorder() {
  const auto& run = job_.combinations.front().run;
  versions_ = Json::parse(cluster::on_root(
      world_, [&] { return program_versions(session_.library_version()).dump(); }));
  recorder_ = std::make_unique<Recorder>(
      world_, RecorderOptions{.out = request_.out,
                              .run_identity = identity_,
                              .binary = versions_["binary"],
                              .host = placement_.host,
                              .device = cluster::device_model(placement_.device),
                              .commit_interval_s = run.commit_interval_s,
                              .commit_units = run.commit_units,
                              .claim = claim_,
                              .log = log_});
  const Json ranks = cluster::describe(world_, placement_);
  cluster::on_root(world_, [&] {
    const Start start{recorder_->generation(), ranks, versions_};
    for (const auto& warning : record_start(request_.out, start, run.strict)) log_.warn(warning);
    claim_.require_held();
    write_state(request_.out, {.generation = recorder_->generation(),
                               .done = recorder_->known(),
                               .planned = planned_units()});
    return std::string();
  });
  log_.info(str("start ", recorder_->generation(), " of ", job_.method, " in ",
                request_.out.string(), ": ", world_.size(), " ranks, ", placement_.device.str(),
                ", ", placement_.threads, " threads each, ", recorder_->known(),
                " units committed before"));
  progress_ = std::make_unique<Progress>(log_, world_.root());
}

void JobRun::start_watchdog() {
  const auto on_silence = [this](const Silence& silence) {
    const bool own = silence.rank == world_.rank();
    report({base::ExitCode::bug,
            str(silence.who, ": no sign of life for ", base::human_seconds(silence.seconds),
                own ? "" : " (stopped, hung, or its host is gone)",
                " (run.watchdog_s); ended by the watchdog"),
            // A rank that is stopped as a whole is no fault of the units that it computes.
            own ? silence.rank : RunState::kNobody});
  };
  watchdog_ = std::make_unique<Watchdog>(
      WatchdogOptions{.limit_s = job_.combinations.front().run.watchdog_s,
                      .on_silence = on_silence,
                      .folder = request_.out / "alive",
                      .rank = world_.rank(),
                      .ranks = world_.size(),
                      .run = base::sha256_hex(claim_.content()).substr(0, 16)});
}

Context JobRun::context_of(const Combination& combination) {
  Context::Parts parts;
  parts.world = &world_;
  parts.worker = &worker_;
  parts.seed = static_cast<uint64_t>(combination.run.seed);
  parts.device = placement_.device;
  parts.threads = placement_.threads;
  parts.out = request_.out;
  parts.method = job_.method;
  parts.config = combination.config;
  parts.log = log_;
  parts.budget = budget_.get();
  parts.recorder = recorder_.get();
  parts.progress = progress_.get();
  parts.watchdog = watchdog_.get();
  parts.sandbox = request_.sandbox;
  parts.sweep = combination.sweep;
  parts.shared = &shared_;
  return Context(std::move(parts));
}

// Of all waves, as far as the job tells before it runs.
int64_t JobRun::planned_units() {
  // Counting reads data: of a large sweep the first combinations stand for all.
  constexpr size_t kCounted = 16;
  const size_t counted = std::min(kCounted, job_.combinations.size());
  int64_t units = 0;
  for (size_t i = 0; i < counted; ++i) units += job_.combinations[i].experiment->estimate().units;
  return units * static_cast<int64_t>(job_.combinations.size()) / static_cast<int64_t>(counted);
}

void JobRun::run_combinations() {
  std::vector<Context> contexts;
  contexts.reserve(job_.combinations.size());
  for (const auto& combination : job_.combinations) contexts.push_back(context_of(combination));
  std::vector<std::unique_ptr<Search>> searches;
  std::vector<SweepPart> parts;
  cluster::together(world_, [&] {
    for (size_t i = 0; i < contexts.size(); ++i) {
      searches.push_back(job_.combinations[i].experiment->make_search(contexts[i]));
      parts.push_back({&contexts[i], searches.back().get()});
    }
  });
  if (job_.sweep.empty()) return search_loop(contexts.front(), *searches.front());
  sweep_loop(parts);
}

void JobRun::end() {
  recorder_->close();
  progress_.reset();
  if (!world_.root()) return;
  claim_.require_held();
  write_end(request_.out, recorder_->generation(), {base::ExitCode::ok, ""});
  const auto state = read_state(request_.out);
  std::string text = str("done: ", state.done, " units, ", (request_.out / "results.h5").string());
  if (state.quarantined > 0) {
    text = str("done: ", state.done, " of ", state.done + state.quarantined, " units, ",
               (request_.out / "results.h5").string(), ", ", state.quarantined,
               " units in quarantine");
  }
  log_.info(text);
}

void JobRun::report(const End& end) {
  // Not from the watchdog's thread, whose main thread may be drawing.
  if (world_.size() == 1 || end.culprit == RunState::kUnknown) progress_.reset();
  if (!ours_ || !claim_.held()) return print_error(end.reason);  // the folder is others'
  if (end.code == base::ExitCode::stopped) {
    log_.info(end.reason);
  } else {
    log_.debug("error: " + end.reason);  // to the file; the terminal gets it plain
    print_error(end.reason);
  }
  log_.flush();
  const auto generation = recorder_ ? recorder_->generation() : read_state(request_.out).generation;
  write_end(request_.out, generation, end);
}

int JobRun::operator()() {
  load();
  open_folder();
  open_log();
  start_watchdog();
  open_recorder();
  try {
    run_combinations();
  } catch (const cluster::CollectiveError& error) {
    // All ranks are here: the journal ends in good order.
    recorder_->flush();
    recorder_->close();
    world_.barrier();  // rank 0 gives the folder back when nobody writes there any more
    throw;
  }
  end();
  return 0;
}

}  // namespace

int run_job(const cluster::Session& session, const JobRequest& request,
            const ExperimentFactory& factory) {
  base::catch_stop_signals();
  JobRun run(session, request, factory);
  return cluster::run_ranked(
      session, [&] { return run(); },
      [&](base::ExitCode code, const std::string& text) {
        run.report({code, text});
      });
}

}  // namespace preimage::run
