// A job file from its text to the exit code: what `preimage run` does.
//
//   {"method": "dcm", "run": {"seed": 1}, "dcm": {"k": 8}, "sweep": {"dcm.k": [4, 8]}}
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "preimage/cluster/session.hpp"
#include "preimage/run/config.hpp"
#include "preimage/run/experiment.hpp"

namespace preimage::sandbox {
class Supervisor;
}

namespace preimage::run {

// Makes the experiment of a method; null for an unknown name.
using ExperimentFactory = std::function<std::unique_ptr<Experiment>(const std::string& method)>;

struct JobRequest {
  std::filesystem::path job;
  std::vector<std::string> set = {};      // "dcm.k=8", "sweep.run.seed=[0,1]"
  std::filesystem::path out = {};         // the run's folder
  std::vector<std::string> methods = {};  // all there are, to name the nearest to an unknown one
  bool resume = false;
  sandbox::Supervisor* sandbox = nullptr;  // of this rank, where the method needs one
};

// One combination of the sweep, or the job itself.
struct Combination {
  base::Json sweep;  // {"dcm.k": 8}
  RunConfig run;
  std::unique_ptr<Experiment> experiment;
  base::Json config;  // effective, all fields
};

struct Job {
  std::string method;
  base::Json sweep;     // of the job file; {} without one
  base::Json identity;  // identity fields that are not swept
  std::vector<Combination> combinations;
};

// Parses and fills the config; with `check` also asks each experiment for its own objections.
// Throws ExitCode::bad_config with every error, one a line, before anything is loaded. `text` is
// the file's.
Job parse_job(const std::string& text, const JobRequest& request, const ExperimentFactory& factory,
              bool check);
// The same from the file. For `validate`: needs no MPI.
Job load_job(const JobRequest& request, const ExperimentFactory& factory);

// Runs the job on all ranks and returns the exit code of this process. Every rank calls it with the
// same request. Errors are printed ("preimage: ...") and written to state.json; on an error of a
// single rank the others are aborted and it does not return.
int run_job(const cluster::Session& session, const JobRequest& request,
            const ExperimentFactory& factory);

}  // namespace preimage::run
