// A run in one process without MPI, in a folder of its own that goes with it: for testing
// experiments.
//
//   tests::OneProcess one("toy");
//   ToySearch search(one.context(), {});
//   run::search_loop(one.context(), search);
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "folder.hpp"
#include "preimage/cluster/communicator.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/progress.hpp"
#include "preimage/run/recorder.hpp"

namespace preimage::tests {

struct OneProcessOptions {
  uint64_t seed = 0;
  base::Json config = base::Json::object();  // what context().config() gives
  base::Json sweep = base::Json::object();
  std::filesystem::path out = {};  // empty: a temporary folder
  double commit_interval_s = 10;
};

class OneProcess {
 public:
  explicit OneProcess(const std::string& method, const OneProcessOptions& options = {})
      : world_(cluster::alone()),
        out_(options.out.empty() ? folder_.path() : options.out),
        recorder_(world_, {.out = out_,
                           .run_identity = "test",
                           .binary = "test",
                           .host = "test",
                           .device = "cpu",
                           .commit_interval_s = options.commit_interval_s}),
        progress_(base::Log(), false) {
    run::Context::Parts parts;
    parts.world = &world_;
    parts.worker = &world_;
    parts.shared = &shared_;
    parts.seed = options.seed;
    parts.out = out_;
    parts.method = method;
    parts.config = options.config;
    parts.budget = &budget_;
    parts.recorder = &recorder_;
    parts.progress = &progress_;
    parts.sweep = options.sweep;
    context_ = std::make_unique<run::Context>(std::move(parts));
  }

  run::Context& context() { return *context_; }
  run::Recorder& recorder() { return recorder_; }
  base::Budget& budget() { return budget_; }
  const std::filesystem::path& out() const { return out_; }

 private:
  Folder folder_;
  cluster::Communicator world_;
  run::SharedObjects shared_;
  std::filesystem::path out_;
  base::Budget budget_;
  run::Recorder recorder_;
  run::Progress progress_;
  std::unique_ptr<run::Context> context_;
};

}  // namespace preimage::tests
