// The scheduler of generation: continuous batching over a paged cache.
//
// A prompt goes through prefill passes, each generated token through a decode pass, always: a
// sequence that had to give up its pages prefills its prompt again and then feeds the tokens it
// already has through decode passes. So a GPU's two attention kernels see what they saw before.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "generate/page_pool.hpp"
#include "preimage/lm/generate/generate.hpp"
#include "generate/runner.hpp"
#include "generate/stop_watcher.hpp"

namespace preimage::lm {

// What generation did, for tests and benchmarks.
struct EngineCounts {
  int64_t passes = 0;
  int64_t prefilled = 0, shared = 0, decoded = 0;  // tokens
  int64_t preemptions = 0, out_of_memory = 0;
};

class Engine {
 public:
  // `requests` and `options` must outlive the engine. Throws for a request that cannot fit.
  Engine(const Model& model, const std::vector<GenerateRequest>& requests,
         const GenerateOptions& options);
  ~Engine();
  std::vector<Completion> run();
  const EngineCounts& counts() const { return counts_; }

 private:
  struct Sequence;
  // A planned pass: sequences[i] is the part of members[i].
  struct Plan {
    Pass pass;
    std::vector<Sequence*> members;
    std::vector<int32_t> published;  // pages that became findable with it
  };

  void add(int64_t request, int64_t index);
  Plan plan();
  void plan_prefill(Plan& plan);
  void plan_decode(Plan& plan);
  bool prefill_piece(Sequence& sequence, int64_t& budget, Plan& plan);
  bool admit(Sequence& sequence);
  bool grow(Sequence& sequence);
  void add_part(Sequence& sequence, int64_t fresh, Plan& plan);
  bool start(const Plan& plan);
  void retreat(const Plan& plan);
  void preempt(Sequence& sequence);
  void leave_cache(Sequence& sequence);
  void fetch();
  void cancel();
  void accept(Sequence& sequence, const Chosen& chosen, size_t row);
  void finish(Sequence& sequence, const char* reason);

  const Model& model_;
  const std::vector<GenerateRequest>& requests_;
  const GenerateOptions& options_;
  std::vector<Completion> completions_;
  std::vector<std::unique_ptr<Sequence>> sequences_;  // in the order of the completions
  std::deque<Sequence*> waiting_;
  std::vector<Sequence*> running_;  // in the order of admission
  nn::KvCache cache_;
  std::optional<PagePool> pool_;
  std::unique_ptr<Runner> runner_;
  std::vector<int64_t> free_slots_;
  std::deque<std::vector<Sequence*>> in_flight_;  // who chose in each pass that was started
  size_t batch_ = 0;                              // these two are lowered when memory runs out
  int64_t prefill_tokens_ = 0;
  EngineCounts counts_;
};

int64_t prompt_tokens(const GenerateRequest& request);
// Pages of the cache: `options.cache_pages`, or as many as the requests can use and the device's
// free memory holds.
int64_t cache_pages(const Model& model, const std::vector<GenerateRequest>& requests,
                    const GenerateOptions& options);
// Throws ExitCode::bad_data that names the first request which the model or the cache cannot hold.
void require_requests(const Model& model, const std::vector<GenerateRequest>& requests,
                      const GenerateOptions& options);
void require_pages(const std::vector<GenerateRequest>& requests, int64_t pages);

}  // namespace preimage::lm
