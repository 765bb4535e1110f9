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

namespace preimage::run {

struct RunConfig;  // run/config.hpp: seed, threads, device, walltime, commit interval
class Recorder;    // run/recorder.hpp: journal and segments of this rank
class Progress;    // run/progress.hpp: the live line of the terminal

class Context {
 public:
  struct Parts {
    const cluster::Communicator* world = nullptr;  // all ranks
    uint64_t seed = 0;
    at::Device device = at::kCPU;
    int threads = 1;
    std::filesystem::path out;       // the run's folder
    std::string method;
    base::Json config;               // effective
    base::Log log;
    base::Budget* budget = nullptr;
    Recorder* recorder = nullptr;
    Progress* progress = nullptr;
    // Set while one combination of a sweep runs: {"dcm.k": 8}; part of its units' keys, and a column of
    // every table.
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
  const base::Json& sweep() const { return parts_.sweep; }

 private:
  Parts parts_;
};

}  // namespace preimage::run
