// What a method is to the program: its config, what it will cost, and how to run it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "preimage/base/config.hpp"
#include "preimage/run/search.hpp"

namespace preimage::run {

class Context;

// What `validate` prints: known before anything runs.
struct Estimate {
  int64_t units = 0;
  int64_t ranks = 0;            // that can work at once; 0: as many as there are units
  double model_calls = 0;       // forward (or forward + backward) passes over one sequence
  double tokens = 0;            // positions put through the model
  double flop = 0;              // floating-point operations
  double bytes_per_worker = 0;  // memory on each GPU (or of each CPU rank)
  std::vector<std::string> notes;
};

class Experiment {
 public:
  virtual ~Experiment() = default;
  virtual std::string name() const = 0;         // "dcm"
  virtual std::string description() const = 0;  // one line for `preimage methods`
  // The method's own config. The job holds it under the method's name ("dcm.k") beside the group
  // "run", so name the fields without that prefix.
  virtual void fields(base::Fields& fields) = 0;
  // Everything that can be checked without loading a weight; all errors at once.
  virtual base::ConfigErrors check() = 0;
  // The files whose content is part of the run's identity: model, tokenizer and data.
  virtual std::vector<std::string> identity_files() const = 0;
  virtual Estimate estimate() = 0;
  // Whether the method runs programs: the sandbox is started before MPI.
  virtual bool needs_sandbox() const { return false; }
  // The method itself: the combinations of a sweep share one search_loop(). Called on every rank;
  // loads what the search needs and makes no collective call, so that an error on some ranks ends
  // all of them in good order.
  virtual std::unique_ptr<Search> make_search(Context& context) = 0;
};

}  // namespace preimage::run
