#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

#include "commands.hpp"
#include "job_arguments.hpp"
#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/placement.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/run/launch.hpp"
#include "preimage/sandbox/pool.hpp"
#include "registry.hpp"

namespace preimage::app {
namespace {

constexpr int kManyRanks = 100000;

// Whether the job's method runs programs. A job that cannot be read is refused later, by all ranks
// together.
bool needs_sandbox(const run::JobRequest& request) {
  try {
    const auto job = base::read_json(request.job);
    const auto experiment = make_experiment(job.value("method", ""));
    return experiment && experiment->needs_sandbox();
  } catch (const std::exception&) {
    return false;
  }
}

int run_command(JobArguments& arguments, Program& program) {
  arguments.request.out = output_folder(arguments);
  base::catch_stop_signals();
  // Before MPI and before any thread: nothing is forked afterwards.
  std::optional<sandbox::Supervisor> supervisor;
  if (needs_sandbox(arguments.request)) {
    supervisor.emplace(sandbox::start_supervisor());
    arguments.request.sandbox = &*supervisor;
  }
  const cluster::Session session(program.argc, program.argv);
  return run::run_job(session, arguments.request, make_experiment);
}

// Units of the job, counted until they are enough. Nothing where the job is wrong: the ranks say
// so.
std::optional<int64_t> units_of(const run::JobRequest& request, int64_t enough) {
  try {
    const auto job = run::load_job(request, make_experiment);
    int64_t units = 0, ranks = 0;
    for (const auto& combination : job.combinations) {
      const auto estimate = combination.experiment->estimate();
      units += estimate.units;
      ranks = std::max(ranks, estimate.ranks);
      if (units >= enough) break;  // counting reads data
    }
    return std::max(units, ranks);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

int launch_command(const JobArguments& arguments, const std::string& program) {
  const auto out = output_folder(arguments);
  // A job that cannot be read is refused by the ranks, in one voice.
  if (const auto units = units_of(arguments.request, arguments.ranks))
    require_ranks(arguments, *units);
  run::LaunchOptions options;
  options.ranks = arguments.ranks;
  options.out = out;
  options.resume = arguments.request.resume;
  options.command = {program, "run", arguments.request.job.string(), "--out", out.string()};
  for (const auto& set : arguments.request.set)
    options.command.insert(options.command.end(), {"--set", set});
  return run::launch(options);
}

void add_folder_options(CLI::App& command, JobArguments& arguments) {
  command.add_option("--out", arguments.request.out, "folder of the run (default: out/JOB)");
  command.add_flag("--resume", arguments.request.resume,
                   "go on with what the folder holds; an empty folder starts");
}

CLI::Option* add_ranks(CLI::App& command, JobArguments& arguments) {
  command.add_flag("--oversubscribe", arguments.oversubscribe,
                   "more ranks than cores are meant: they share the cores");
  return command.add_option("-n", arguments.ranks, "ranks")->check(CLI::Range(1, kManyRanks));
}

void add_validate(CLI::App& app, Program& program) {
  auto arguments = std::make_shared<ValidateArguments>();
  auto* command = app.add_subcommand(
      "validate", "check everything that can be checked without running, and estimate the cost");
  add_job_options(*command, arguments->job);
  add_ranks(*command, arguments->job);
  command
      ->add_option("--tflops", arguments->tflops,
                   "TFLOP/s that a worker reaches, for the estimated time")
      ->check(CLI::PositiveNumber);
  command->callback([arguments, &program] { program.code = validate(*arguments); });
}

void add_submit(CLI::App& app, Program& program) {
  auto arguments = std::make_shared<SubmitArguments>();
  auto* command = app.add_subcommand(
      "submit", "write a batch script that stops, requeues and resumes in good order");
  add_job_options(*command, arguments->job);
  add_ranks(*command, arguments->job);
  command->add_option("--out", arguments->job.request.out, "folder of the run (default: out/JOB)");
  command->add_flag("--slurm", arguments->slurm, "for Slurm (the only one there is)");
  command->add_flag("--submit", arguments->submit, "hand the script to sbatch");
  command->add_flag("--array", arguments->array,
                    "one job for each combination of the sweep, in OUT/INDEX");
  command->add_option("--script", arguments->script,
                      "write the script here instead of printing it");
  command->add_option("--time", arguments->time, "time limit of Slurm, as 04:00:00")
      ->capture_default_str();
  command->add_option("--requeues", arguments->requeues, "how often a stopped job is queued again")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  command->add_option("--cpus", arguments->cpus, "cores of a rank")->check(CLI::Range(1, 4096));
  command->add_option("--gpus", arguments->gpus, "GPUs of a rank")->check(CLI::Range(0, 1));
  command->add_option("--partition", arguments->partition, "partition of Slurm");
  command->add_option("--account", arguments->account, "account of Slurm");
  command->callback([arguments, &program] { program.code = submit(*arguments); });
}

}  // namespace

void add_job_options(CLI::App& command, JobArguments& arguments) {
  arguments.request.methods = method_names();
  command.add_option("job", arguments.request.job, "job file (JSON)")->required();
  command
      .add_option("--set", arguments.request.set, "field=value over the job file; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void require_ranks(const JobArguments& arguments, int64_t units) {
  const int cores = cluster::usable_cores();
  const char* nodes = std::getenv("SLURM_JOB_NUM_NODES");
  const bool several_hosts = nodes && std::atoi(nodes) > 1;
  if (arguments.ranks > cores && !arguments.oversubscribe && !several_hosts) {
    throw base::config_error(base::str(
        "-n ", arguments.ranks, ": more ranks than the ", cores, cores == 1 ? " core" : " cores",
        " that may be used here; use at most ", cores, ", or --oversubscribe where that is meant"));
  }
  if (arguments.ranks > std::max<int64_t>(units, 1)) {
    throw base::config_error(base::str("-n ", arguments.ranks, ": more ranks than the ", units,
                                       units == 1 ? " unit" : " units",
                                       " of this job; the others would have nothing to do"));
  }
}

std::filesystem::path output_folder(const JobArguments& arguments) {
  return arguments.request.out.empty() ? std::filesystem::path("out") / arguments.request.job.stem()
                                       : arguments.request.out;
}

void add_run_commands(CLI::App& app, Program& program) {
  auto job = std::make_shared<JobArguments>();
  auto* run = app.add_subcommand("run", "run a job on the ranks of mpirun, of srun, or alone");
  add_job_options(*run, *job);
  add_folder_options(*run, *job);
  run->callback([job, &program] { program.code = run_command(*job, program); });

  auto* launch = app.add_subcommand(
      "launch", "supervise mpirun: restart after a crash, quarantine what crashes");
  add_job_options(*launch, *job);
  add_folder_options(*launch, *job);
  add_ranks(*launch, *job)->required();
  launch->callback([job, &program] { program.code = launch_command(*job, program.argv[0]); });

  add_validate(app, program);
  add_submit(app, program);
}

}  // namespace preimage::app
