// The scheduler of generation: continuous batching over a paged cache.
//
// A prompt goes through prefill passes, each generated token through a decode pass, always: a
// sequence that had to give up its pages prefills its prompt again and then feeds the tokens it
// already has through decode passes. So a GPU's two attention kernels see what they saw before.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "generate/page_pool.hpp"
#include "generate/runner.hpp"
#include "generate/stop_watcher.hpp"
#include "preimage/lm/generate/generator.hpp"

namespace preimage::lm {

class Scheduler {
 public:
  Scheduler(const Model& model, const GeneratorOptions& options);
  ~Scheduler();

  // All candidates of a request; each of their completions carries `ticket`.
  void add(GenerateRequest request, int64_t ticket);
  // One pass started, or the result of one taken in. False when there is nothing to do.
  bool step();
  std::optional<Completion> take_finished();
  int64_t pending() const { return pending_; }
  void cancel();
  // As Generator::weights_changed.
  void weights_changed();
  const GeneratorCounts& counts() const { return counts_; }

 private:
  struct Sequence;
  // A planned pass: sequences[i] is the part of members[i].
  struct Plan {
    Pass pass;
    std::vector<Sequence*> members;
    std::vector<int32_t> published;  // pages that became findable with it
  };

  void open();
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
  void accept(Sequence& sequence, const Chosen& chosen, size_t row);
  void finish(Sequence& sequence, const char* reason);
  void end(Sequence& sequence, const char* reason, std::string text);

  const Model& model_;
  GeneratorOptions options_;
  std::list<Sequence> sequences_;  // until they are done and no pass in flight chose for them
  std::deque<Sequence*> waiting_;
  std::vector<Sequence*> running_;  // in the order of admission
  std::deque<Completion> finished_;
  int64_t pending_ = 0;
  int64_t pages_ = 0;  // of the cache
  nn::KvCache cache_;
  std::optional<PagePool> pool_;  // these three are made for the first token that is asked for
  std::unique_ptr<Runner> runner_;
  std::vector<int64_t> free_slots_;
  std::deque<std::vector<Sequence*>> in_flight_;  // who chose in each pass that was started
  size_t batch_ = 0;                              // these two are lowered when memory runs out
  int64_t prefill_tokens_ = 0;
  GeneratorCounts counts_;
};

}  // namespace preimage::lm
