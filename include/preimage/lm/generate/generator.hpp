// A generator that stays: requests go in at any time, while others run, and completions come out as
// they end. One cache, one set of graphs and one memory of prompt beginnings for its whole life.
#pragma once

#include <memory>
#include <optional>

#include "preimage/lm/generate/generate.hpp"

namespace preimage::lm {

struct GeneratorOptions {
  int64_t batch = 64;             // sequences in flight
  int64_t prefill_tokens = 4096;  // prompt tokens put through the model at once
  int64_t longest = 0;         // tokens of prompt and completion together, of any request to come
  int64_t cache_pages = 0;     // of the key/value cache; 0: what `batch` sequences of `longest`
                               // can use and the device's free memory holds
  bool fast = false;           // products in any order: a completion's bits depend on the batch
  bool share_prefixes = true;  // equal beginnings of prompts are computed and kept once
  const text::Tokenizer* tokenizer = nullptr;  // for texts and stop strings; must outlive it
  // Called after each token of a request; returning true ends it ("stop").
  std::function<bool(const Completion& so_far)> stop;
};

// What generation did, for tests and benchmarks.
struct GeneratorCounts {
  int64_t passes = 0;
  int64_t prefilled = 0, shared = 0, decoded = 0;  // tokens
  int64_t preemptions = 0, out_of_memory = 0;
};

class Scheduler;

// Of one thread. What a completion holds depends on its request and the model alone, as generate()
// promises.
class Generator {
 public:
  // `model` must outlive it.
  Generator(const Model& model, const GeneratorOptions& options);
  ~Generator();
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  // Hands a request over and returns at once; it runs inside next(). Tickets count from 1. Throws
  // ExitCode::bad_data for a request that the model, `longest` or the cache cannot hold.
  int64_t submit(GenerateRequest request);

  // The next completion that ended, `request` being its ticket: each of the n of a request comes by
  // itself, in no order that is promised. Runs passes until there is one, for up to `timeout_s`
  // (0: one pass; < 0: as long as it takes). Nothing when the time is over or nothing is pending.
  std::optional<Completion> next(double timeout_s = -1);

  // Completions that were asked for and have not been returned.
  int64_t pending() const;
  // Forgets them.
  void cancel();
  // The values of the model's tensors were changed in place (an adapter's parameters): beginnings
  // of prompts that were computed with the old ones are forgotten, and what comes next has the bits
  // of a generator that is made now. Only while nothing is pending.
  void weights_changed();

  const GeneratorCounts& counts() const;

 private:
  const Model& model_;
  GeneratorOptions options_;
  std::unique_ptr<Scheduler> scheduler_;
  int64_t tickets_ = 0;
};

}  // namespace preimage::lm
