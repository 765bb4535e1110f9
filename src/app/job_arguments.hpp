// Options that run, launch, validate and submit share.
#pragma once

#include <CLI/CLI.hpp>

#include "preimage/run/job.hpp"

namespace preimage::app {

struct JobArguments {
  run::JobRequest request;
  int ranks = 1;
  bool oversubscribe = false;
};

void add_job_options(CLI::App& command, JobArguments& arguments);

// --out, or out/JOB.
std::filesystem::path output_folder(const JobArguments& arguments);

// Throws ExitCode::bad_config when -n asks for more ranks than this machine has cores (unless
// --oversubscribe, or a batch system gave several machines) or than the job has units.
void require_ranks(const JobArguments& arguments, int64_t units);

struct ValidateArguments {
  JobArguments job;
  double tflops = 0;  // of one worker; 0: a guess
};
int validate(const ValidateArguments& arguments);

struct SubmitArguments {
  JobArguments job;
  bool slurm = false, submit = false, array = false;
  int cpus = 1, gpus = 0, requeues = 50;
  std::string time = "24:00:00", partition, account, script;
};
int submit(SubmitArguments arguments);

}  // namespace preimage::app
