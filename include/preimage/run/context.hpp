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
#include "preimage/run/shared_objects.hpp"

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
    const cluster::Communicator* world = nullptr;   // all ranks
    const cluster::Communicator* worker = nullptr;  // those that compute a unit together
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
    SharedObjects* shared = nullptr;  // of the process
  };
  explicit Context(Parts parts) : parts_(std::move(parts)) {}

  const cluster::Communicator& world() const { return *parts_.world; }
  // The ranks that hold one model and compute a unit together. Today a worker is one rank; a unit's
  // code that needs its fellows asks here and not world().
  const cluster::Communicator& worker() const { return *parts_.worker; }
  uint64_t seed() const { return parts_.seed; }
  at::Device device() const { return parts_.device; }
  int threads() const { return parts_.threads; }
  const std::filesystem::path& out() const { return parts_.out; }
  // Of this combination: states of trainings, files beside the results. out() itself without a
  // sweep. It may have to be created.
  std::filesystem::path folder() const;
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
  // Loads a model once, whatever is swept: context.shared<lm::Model>(key, [&] { return load(); }).
  template <class T>
  std::shared_ptr<const T> shared(const std::string& key,
                                  const std::function<std::shared_ptr<const T>()>& make) const {
    return parts_.shared->get<T>(key, make);
  }

 private:
  Parts parts_;
};

// The folder's name of one combination of a sweep: "dcm.k=8,run.seed=0"; with a hash where values
// hold what a file name cannot.
std::string combination_name(const base::Json& sweep);

}  // namespace preimage::run
