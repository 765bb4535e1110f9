// Everything an experiment may use of the run it is part of. No MPI type appears here, so that an
// experiment can be tested in one process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "preimage/base/budget.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/log.hpp"
#include "preimage/cluster/communicator.hpp"

namespace preimage::sandbox {
class Supervisor;  // sandbox/pool.hpp
}

namespace preimage::run {

struct RunConfig;  // run/config.hpp: seed, threads, device, walltime, commit interval
class Recorder;    // run/recorder.hpp: journal and segments of this rank
class Progress;    // run/progress.hpp: the live line of the terminal
class Watchdog;    // run/watchdog.hpp: ends a rank that shows no sign of life

class Context {
 public:
  struct Parts {
    const cluster::Communicator* world = nullptr;  // all ranks
    uint64_t seed = 0;
    at::Device device = at::kCPU;
    int threads = 1;
    std::filesystem::path out;  // the run's folder
    std::string method;
    base::Json config;  // effective
    base::Log log;
    base::Budget* budget = nullptr;
    Recorder* recorder = nullptr;
    Progress* progress = nullptr;
    Watchdog* watchdog = nullptr;            // null: nobody watches
    sandbox::Supervisor* sandbox = nullptr;  // null: the method did not ask for one
    // Set while one combination of a sweep runs: {"dcm.k": 8}. search_loop makes it part of the
    // units' keys in the journal and a column of every table; the search itself never sees it.
    base::Json sweep = base::Json::object();
  };
  explicit Context(Parts parts) : parts_(std::move(parts)) {}

  const cluster::Communicator& world() const { return *parts_.world; }
  uint64_t seed() const { return parts_.seed; }
  at::Device device() const { return parts_.device; }
  int threads() const { return parts_.threads; }
  const std::filesystem::path& out() const { return parts_.out; }
  const std::string& method() const { return parts_.method; }
  const base::Json& config() const { return parts_.config; }
  const base::Log& log() const { return parts_.log; }
  base::Budget& budget() const { return *parts_.budget; }
  Recorder& recorder() const { return *parts_.recorder; }
  Progress& progress() const { return *parts_.progress; }
  Watchdog* watchdog() const { return parts_.watchdog; }
  // Where programs that nobody trusts run; the method opens a sandbox::Pool on it when it is first
  // needed. Null unless Experiment::needs_sandbox().
  sandbox::Supervisor* sandbox() const { return parts_.sandbox; }
  const base::Json& sweep() const { return parts_.sweep; }

 private:
  Parts parts_;
};

}  // namespace preimage::run
