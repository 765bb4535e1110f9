#include "app.hpp"

#include <ATen/Context.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/run/job.hpp"
#include "preimage/run/launch.hpp"
#include "registry.hpp"

namespace preimage::app {
namespace {

// Options that `run`, `launch` and `validate` share.
struct JobArguments {
  run::JobRequest request;
  int ranks = 1;
};

void add_job_options(CLI::App& command, JobArguments& arguments) {
  command.add_option("job", arguments.request.job, "job file (JSON)")->required();
  command.add_option("--set", arguments.request.set, "field=value over the job file; may be repeated");
}

std::filesystem::path output_folder(const JobArguments& arguments) {
  return arguments.request.out.empty() ? std::filesystem::path("out") / arguments.request.job.stem() : arguments.request.out;
}

// ATen's GPU operations that sum in the order of arrival have a second form that does not.
void choose_deterministic_kernels() {
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  at::globalContext().setFloat32MatmulPrecision("highest");
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
}

int run_command(JobArguments& arguments, int argc, char** argv) {
  arguments.request.out = output_folder(arguments);
  base::catch_stop_signals();
  const cluster::Session session(argc, argv);
  return run::run_job(session, arguments.request, make_experiment);
}

int launch_command(const JobArguments& arguments, const std::string& program) {
  const auto out = output_folder(arguments);
  run::LaunchOptions options;
  options.ranks = arguments.ranks;
  options.out = out;
  options.resume = arguments.request.resume;
  options.command = {program, "run", arguments.request.job.string(), "--out", out.string()};
  for (const auto& set : arguments.request.set) options.command.insert(options.command.end(), {"--set", set});
  return run::launch(options);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("preimage searches backwards through frozen language models");
  app.require_subcommand(1);
  JobArguments job;
  int code = 0;
  choose_deterministic_kernels();

  auto* run = app.add_subcommand("run", "run a job on the ranks of mpirun, of srun, or alone");
  add_job_options(*run, job);
  run->add_option("--out", job.request.out, "folder of the run (default: out/JOB)");
  run->add_flag("--resume", job.request.resume, "go on with what the folder holds; an empty folder starts");
  run->callback([&] { code = run_command(job, argc, argv); });

  auto* launch = app.add_subcommand("launch", "supervise mpirun: restart after a crash, quarantine what crashes");
  add_job_options(*launch, job);
  launch->add_option("--out", job.request.out, "folder of the run (default: out/JOB)");
  launch->add_flag("--resume", job.request.resume, "go on with what the folder holds");
  launch->add_option("-n", job.ranks, "ranks")->required()->check(CLI::Range(1, 100000));
  launch->callback([&] { code = launch_command(job, argv[0]); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int cli = app.exit(error);
    return cli == 0 ? 0 : static_cast<int>(base::ExitCode::bad_config);
  } catch (const base::Error& error) {
    std::cerr << "preimage: " << error.what() << "\n";
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::cerr << "preimage: bug: " << error.what() << "\n";
    return static_cast<int>(base::ExitCode::bug);
  }
  return code;
}

}  // namespace preimage::app
