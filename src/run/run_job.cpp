#include <unistd.h>

#include <cstdio>
#include <set>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
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
  std::fprintf(stderr, "preimage: %s\n", text.c_str());
}

// Writes how the run ended into state.json, keeping its counts.
void write_end(const fs::path& out, base::ExitCode code, const std::string& reason) {
  auto state = read_state(out);
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
  void report(base::ExitCode code, const std::string& text);

 private:
  void load();
  void open_folder();
  void open_log();
  void open_recorder();
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
  bool ours_ = false;                 // the folder is locked for this run
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
  budget_ = std::make_unique<base::Budget>(run.walltime_s, kStopReserve_s);
  identity_ = cluster::on_root(world_, [&] {
    prepare_folder(request_.out);
    lock_ = std::make_unique<FolderLock>(
        request_.out, LockOptions{.on_lost = [this] { budget_->request_stop(); }});
    std::set<std::string> files;
    for (const auto& combination : job_.combinations) {
      for (const auto& file : combination.experiment->identity_files()) files.insert(file);
    }
    const auto identity = make_identity(
        {job_.method, job_.identity, job_.sweep, {files.begin(), files.end()}}, request_.out);
    write_manifest(request_.out, identity, job_.combinations.front().config,
                   {.resume = request_.resume});
    fs::create_directories(request_.out / "log");
    return identity.hash;
  });
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
                              .log = log_});
  const Json ranks = cluster::describe(world_, placement_);
  cluster::on_root(world_, [&] {
    const Start start{recorder_->generation(), ranks, versions_};
    for (const auto& warning : record_start(request_.out, start, run.strict)) log_.warn(warning);
    write_state(request_.out, {.generation = recorder_->generation(), .done = recorder_->known()});
    return std::string();
  });
  log_.info(str("start ", recorder_->generation(), " of ", job_.method, " in ",
                request_.out.string(), ": ", world_.size(), " ranks, ", placement_.device.str(),
                ", ", placement_.threads, " threads each, ", recorder_->known(),
                " units committed before"));
  progress_ = std::make_unique<Progress>(log_, world_.root());
  watchdog_ = std::make_unique<Watchdog>(run.watchdog_s, [this](double silent_s) {
    report(base::ExitCode::bug,
           str("rank ", world_.rank(), " on ", placement_.host, ", pid ", ::getpid(),
               ": no sign of life for ", base::human_seconds(silent_s),
               " (run.watchdog_s); ended by the watchdog"));
  });
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

void JobRun::run_combinations() {
  std::vector<Context> contexts;
  contexts.reserve(job_.combinations.size());
  for (const auto& combination : job_.combinations) contexts.push_back(context_of(combination));
  if (job_.sweep.empty()) return job_.combinations.front().experiment->run(contexts.front());
  std::vector<std::unique_ptr<Search>> searches;
  std::vector<SweepPart> parts;
  for (size_t i = 0; i < contexts.size(); ++i) {
    searches.push_back(job_.combinations[i].experiment->make_search(contexts[i]));
    if (searches.back()) parts.push_back({&contexts[i], searches.back().get()});
  }
  if (parts.size() == contexts.size()) return sweep_loop(parts);
  for (size_t i = 0; i < contexts.size(); ++i) job_.combinations[i].experiment->run(contexts[i]);
}

void JobRun::end() {
  recorder_->close();
  progress_.reset();
  if (!world_.root()) return;
  write_end(request_.out, base::ExitCode::ok, "");
  const auto state = read_state(request_.out);
  std::string text = str("done: ", state.done, " units, ", (request_.out / "results.h5").string());
  if (state.quarantined > 0) text += str(", ", state.quarantined, " units in quarantine");
  log_.info(text);
}

void JobRun::report(base::ExitCode code, const std::string& text) {
  progress_.reset();
  if (code == base::ExitCode::stopped) {
    log_.info(text);
  } else {
    log_.debug("error: " + text);  // to the file; the terminal gets it plain
    print_error(text);
  }
  log_.flush();
  if (ours_) write_end(request_.out, code, text);
}

int JobRun::operator()() {
  load();
  open_folder();
  open_log();
  open_recorder();
  try {
    run_combinations();
  } catch (const cluster::CollectiveError& error) {
    // All ranks are here: the journal ends in good order.
    recorder_->flush();
    recorder_->close();
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
      [&](base::ExitCode code, const std::string& text) { run.report(code, text); });
}

}  // namespace preimage::run
