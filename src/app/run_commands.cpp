#include <memory>
#include <optional>

#include "commands.hpp"
#include "job_arguments.hpp"
#include "preimage/base/budget.hpp"
#include "preimage/base/json.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/run/launch.hpp"
#include "preimage/sandbox/pool.hpp"
#include "registry.hpp"

namespace preimage::app {
namespace {

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

int launch_command(const JobArguments& arguments, const std::string& program) {
  const auto out = output_folder(arguments);
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
  return command.add_option("-n", arguments.ranks, "ranks")->check(CLI::Range(1, 100000));
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
  command->add_option("--time", arguments->time, "time limit of Slurm");
  command->add_option("--cpus", arguments->cpus, "cores of a rank")->check(CLI::Range(1, 4096));
  command->add_option("--gpus", arguments->gpus, "GPUs of a rank")->check(CLI::Range(0, 1));
  command->add_option("--partition", arguments->partition, "partition of Slurm");
  command->add_option("--account", arguments->account, "account of Slurm");
  command->callback([arguments, &program] { program.code = submit(*arguments); });
}

}  // namespace

void add_job_options(CLI::App& command, JobArguments& arguments) {
  command.add_option("job", arguments.request.job, "job file (JSON)")->required();
  command
      .add_option("--set", arguments.request.set, "field=value over the job file; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
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
