#include "generate/scheduler.hpp"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "generate/limits.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/nn/free_order.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

using nn::kPageTokens;

int64_t pages_for(int64_t tokens) {
  return (tokens + kPageTokens - 1) / kPageTokens;
}

std::string_view bytes_of(const void* data, size_t size) {
  return {static_cast<const char*>(data), size};
}

// The full blocks of a prompt, without the one that holds its last token: that token must go
// through the model for the sake of what it predicts.
std::vector<BlockHash> block_hashes(const GenerateRequest& request, int64_t prompt) {
  at::Tensor soft;
  if (request.embeddings.defined()) soft = request.embeddings.to(at::kCPU, at::kFloat).contiguous();
  const int64_t embedded = embedded_tokens(request.embeddings);
  std::vector<BlockHash> hashes;
  for (int64_t block = 0; block < (prompt - 1) / kPageTokens; ++block) {
    base::Sha256 hash;
    if (block > 0) hash.update(bytes_of(hashes.back().data(), hashes.back().size()));
    for (int64_t t = block * kPageTokens; t < (block + 1) * kPageTokens; ++t) {
      if (t < embedded) {
        const auto width = soft.size(1);
        hash.update("e");
        hash.update(bytes_of(soft.const_data_ptr<float>() + t * width,
                             static_cast<size_t>(width) * sizeof(float)));
      } else {
        const int64_t id = request.ids[static_cast<size_t>(t - embedded)];
        hash.update("i");
        hash.update(bytes_of(&id, sizeof id));
      }
    }
    hashes.push_back(hash.finish());
  }
  return hashes;
}

}  // namespace

struct Scheduler::Sequence {
  std::list<Sequence>::iterator self;
  std::shared_ptr<const GenerateRequest> request;        // of all candidates
  std::shared_ptr<const std::vector<BlockHash>> blocks;  // that may be shared; of all candidates
  int64_t prompt = 0;                                    // tokens
  Completion out;
  std::vector<int64_t> history;  // ids of prompt and completion
  std::optional<StopWatcher> watcher;

  std::vector<int32_t> pages;
  int64_t slot = -1;
  int64_t cached = 0;       // tokens whose keys the started passes have written
  int64_t chosen = 0;       // tokens that the started passes have chosen
  int64_t outstanding = 0;  // of those, in passes that were not fetched yet
  bool done = false;
};

Scheduler::Scheduler(const Model& model, const GeneratorOptions& options)
    : model_(model),
      options_(options),
      pages_(cache_pages(model, options)),
      batch_(static_cast<size_t>(options.batch)),
      prefill_tokens_(options.prefill_tokens) {}

Scheduler::~Scheduler() = default;

// A generator that only ever gets requests without a token needs no cache.
void Scheduler::open() {
  pool_.emplace(pages_);
  cache_ =
      nn::make_kv_cache(model_.attention_layers(), pages_ + 1, model_.dtype(), model_.device());
  runner_ =
      make_runner(model_, cache_, {options_.batch, options_.longest, static_cast<int32_t>(pages_)});
  for (int64_t slot = options_.batch - 1; slot >= 0; --slot) free_slots_.push_back(slot);
}

void Scheduler::add(GenerateRequest request, int64_t ticket) {
  const auto shared = std::make_shared<const GenerateRequest>(std::move(request));
  require_pages(*shared, pages_, base::str("request ", ticket - 1));
  const int64_t prompt = prompt_tokens(*shared);
  const auto blocks = std::make_shared<const std::vector<BlockHash>>(
      options_.share_prefixes ? block_hashes(*shared, prompt) : std::vector<BlockHash>());
  if (!runner_ && shared->max_new_tokens > 0) open();
  for (int64_t index = 0; index < shared->n; ++index) {
    auto& s = sequences_.emplace_back();
    s.self = std::prev(sequences_.end());
    s.request = shared, s.blocks = blocks, s.prompt = prompt;
    s.out.request = ticket, s.out.index = index;
    if (shared->sampling.looks_back()) s.history = shared->ids;
    if (!shared->stop.empty()) s.watcher.emplace(*options_.tokenizer, shared->stop);
    ++pending_;
    if (shared->max_new_tokens == 0) {
      finish(s, "length");
    } else {
      waiting_.push_back(&s);
    }
  }
}

bool Scheduler::step() {
  const at::NoGradGuard no_grad;
  const nn::FreeOrder order(options_.fast);
  if (!runner_) return false;
  if (static_cast<int64_t>(in_flight_.size()) < runner_->depth()) {
    const auto next = plan();
    if (!next.members.empty()) {
      if (!start(next)) retreat(next);
      return true;
    }
  }
  if (in_flight_.empty()) {
    base::check(waiting_.empty() && running_.empty(), "generation ends when all sequences have");
    return false;
  }
  fetch();
  return true;
}

std::optional<Completion> Scheduler::take_finished() {
  if (finished_.empty()) return std::nullopt;
  auto out = std::move(finished_.front());
  finished_.pop_front();
  --pending_;
  return out;
}

void Scheduler::weights_changed() {
  base::check(pending_ == 0, "weights change between requests");
  cancel();  // what is in flight ran on the old ones
  if (!pool_) return;
  pool_.emplace(pages_);
  runner_->weights_changed();
}

void Scheduler::cancel() {
  for (; !in_flight_.empty(); in_flight_.pop_front()) runner_->fetch();
  while (!running_.empty()) leave_cache(*running_.back());
  waiting_.clear();
  sequences_.clear();
  finished_.clear();
  pending_ = 0;
}

// Prompts first: each that is let in makes the decode passes fuller.
Scheduler::Plan Scheduler::plan() {
  Plan plan;
  plan_prefill(plan);
  if (plan.members.empty()) plan_decode(plan);
  return plan;
}

void Scheduler::plan_prefill(Plan& plan) {
  int64_t budget = prefill_tokens_;
  for (auto* sequence : running_) {
    if (sequence->cached < sequence->prompt && !prefill_piece(*sequence, budget, plan)) return;
  }
  while (!waiting_.empty()) {
    auto& sequence = *waiting_.front();
    // A preempted sequence comes back when all its tokens are known.
    if (running_.size() >= batch_ || sequence.outstanding > 0 || !admit(sequence)) return;
    waiting_.pop_front();
    running_.push_back(&sequence);
    if (!prefill_piece(sequence, budget, plan)) return;
  }
}

// Puts the rest of a prompt into the pass, or as many whole pages of it as the budget allows. False
// when the budget is spent.
bool Scheduler::prefill_piece(Sequence& s, int64_t& budget, Plan& plan) {
  int64_t end = std::min(s.prompt, s.cached + budget);
  if (end < s.prompt) end = end / kPageTokens * kPageTokens;
  if (end <= s.cached) {
    if (!plan.members.empty()) return false;
    end = std::min(s.prompt, s.cached / kPageTokens * kPageTokens + kPageTokens);
  }
  budget -= end - s.cached;
  add_part(s, end - s.cached, plan);
  const auto blocks = std::min(static_cast<int64_t>(s.blocks->size()), end / kPageTokens);
  for (int64_t block = s.cached / kPageTokens; block < blocks; ++block) {
    const auto at = static_cast<size_t>(block);
    pool_->publish(s.pages[at], (*s.blocks)[at]);
    plan.published.push_back(s.pages[at]);
  }
  return end == s.prompt && budget > 0;
}

// Pages for the whole prompt: those that hold its beginning already, and new ones. Leaves a page
// for each running sequence, so that those that are let in do not push each other out at once.
bool Scheduler::admit(Sequence& s) {
  for (const auto& hash : *s.blocks) {
    const auto page = pool_->find(hash);
    if (!page) break;
    s.pages.push_back(*page);
  }
  const auto shared = static_cast<int64_t>(s.pages.size());
  const int64_t wanted = pages_for(s.prompt) - shared;
  if (pool_->available() < wanted + static_cast<int64_t>(running_.size())) {
    for (const int32_t page : s.pages) pool_->release(page);
    s.pages.clear();
    return false;
  }
  for (int64_t i = 0; i < wanted; ++i) s.pages.push_back(*pool_->take());
  s.cached = shared * kPageTokens;
  s.slot = free_slots_.back();
  free_slots_.pop_back();
  counts_.shared += s.cached;
  return true;
}

void Scheduler::plan_decode(Plan& plan) {
  plan.pass.decode = true;
  const auto candidates = running_;  // preemption takes from the end of running_
  for (auto* s : candidates) {
    const bool preempted = s->slot < 0;
    const bool complete = s->chosen == s->request->max_new_tokens;  // but not fetched yet
    const bool waits = s->request->sampling.looks_back() && s->outstanding > 0;
    if (preempted || complete || waits || !grow(*s)) continue;
    add_part(*s, 1, plan);
  }
}

// A page for the next token; without one, the sequences that came last give up theirs.
bool Scheduler::grow(Sequence& s) {
  while (pages_for(s.cached + 1) > static_cast<int64_t>(s.pages.size())) {
    if (const auto page = pool_->take()) {
      s.pages.push_back(*page);
      continue;
    }
    auto& victim = *running_.back();
    preempt(victim);
    if (&victim == &s) return false;
  }
  return true;
}

void Scheduler::add_part(Sequence& s, int64_t fresh, Plan& plan) {
  const auto& r = *s.request;
  PassSequence part{.place = {s.pages, s.cached, fresh}, .slot = s.slot};
  const auto known = static_cast<int64_t>(s.out.ids.size());
  if (plan.pass.decode) {
    const int64_t place = s.cached - s.prompt;
    if (place < known) part.token = s.out.ids[static_cast<size_t>(place)];
  } else {
    const int64_t embedded = embedded_tokens(r.embeddings), end = s.cached + fresh;
    if (s.cached < embedded)
      part.embeddings = r.embeddings.narrow(0, s.cached, std::min(embedded, end) - s.cached);
    const int64_t first = std::max<int64_t>(0, s.cached - embedded);
    const int64_t last = std::max<int64_t>(0, end - embedded);
    part.ids =
        std::span(r.ids).subspan(static_cast<size_t>(first), static_cast<size_t>(last - first));
  }
  // The token after these may be known already, of a time before a preemption.
  part.choose = s.cached + fresh == s.prompt + s.chosen;
  if (part.choose) {
    part.sampling = &r.sampling;
    if (!r.sampling.greedy())
      part.uniform = sampling_uniform(r.sampling.seed, s.out.index, s.chosen);
    part.top = r.top;
    part.history = s.history;
  }
  plan.pass.sequences.push_back(std::move(part));
  plan.members.push_back(&s);
}

// False when the device has no memory for the pass; nothing has happened then.
bool Scheduler::start(const Plan& plan) {
  try {
    runner_->start(plan.pass);
  } catch (const c10::OutOfMemoryError&) {
    if (plan.pass.decode ? plan.members.size() == 1 : prefill_tokens_ <= kPageTokens) throw;
    return false;
  }
  ++counts_.passes;
  std::vector<Sequence*> chose;
  for (size_t i = 0; i < plan.members.size(); ++i) {
    auto& s = *plan.members[i];
    const auto& part = plan.pass.sequences[i];
    s.cached += part.place.fresh;
    (plan.pass.decode ? counts_.decoded : counts_.prefilled) += part.place.fresh;
    if (!part.choose) continue;
    ++s.chosen, ++s.outstanding;
    chose.push_back(&s);
  }
  in_flight_.push_back(std::move(chose));
  return true;
}

// Less at once from now on. The members come again, since some of them may have counted on pages of
// others that were not written.
void Scheduler::retreat(const Plan& plan) {
  ++counts_.out_of_memory;
  if (plan.pass.decode) {
    batch_ = std::max<size_t>(1, plan.members.size() / 2);
  } else {
    prefill_tokens_ = std::max(kPageTokens, prefill_tokens_ / 2);
  }
  for (const int32_t page : plan.published) pool_->forget(page);
  for (auto member = plan.members.rbegin(); member != plan.members.rend(); ++member)
    preempt(**member);
}

void Scheduler::preempt(Sequence& s) {
  ++counts_.preemptions;
  leave_cache(s);
  waiting_.push_front(&s);
}

// Passes that were started read and write these pages before any later pass does.
void Scheduler::leave_cache(Sequence& s) {
  for (const int32_t page : s.pages) pool_->release(page);
  s.pages.clear();
  s.cached = 0;
  free_slots_.push_back(s.slot);
  s.slot = -1;
  running_.erase(std::find(running_.begin(), running_.end(), &s));
}

void Scheduler::fetch() {
  const auto chosen = runner_->fetch();
  const auto members = std::move(in_flight_.front());
  in_flight_.pop_front();
  for (size_t row = 0; row < members.size(); ++row) {
    auto& s = *members[row];
    --s.outstanding;
    if (!s.done) accept(s, chosen, row);
    if (s.done && s.outstanding == 0) sequences_.erase(s.self);
  }
}

void Scheduler::accept(Sequence& s, const Chosen& chosen, size_t row) {
  const auto& r = *s.request;
  auto& out = s.out;
  const int64_t id = chosen.ids[row];
  if (std::find(r.stop_ids.begin(), r.stop_ids.end(), id) != r.stop_ids.end())
    return finish(s, "eos");
  out.ids.push_back(id);
  out.logprobs.push_back(chosen.logprobs[row]);
  if (r.top > 0) out.top.push_back(chosen.top[row]);
  if (r.sampling.looks_back()) s.history.push_back(id);
  if (s.watcher && s.watcher->push(id)) return end(s, "stop", s.watcher->text());
  if (options_.stop && options_.stop(out)) return finish(s, "stop");
  if (static_cast<int64_t>(out.ids.size()) == r.max_new_tokens) finish(s, "length");
}

void Scheduler::finish(Sequence& s, const char* reason) {
  end(s, reason, options_.tokenizer ? options_.tokenizer->decode(s.out.ids) : "");
}

void Scheduler::end(Sequence& s, const char* reason, std::string text) {
  s.done = true;
  s.out.finish_reason = reason;
  s.out.text = std::move(text);
  finished_.push_back(std::move(s.out));
  if (s.slot >= 0) {
    leave_cache(s);
  } else if (const auto found = std::find(waiting_.begin(), waiting_.end(), &s);
             found != waiting_.end()) {
    waiting_.erase(found);  // it had been preempted while its last token was on its way
  }
}

}  // namespace preimage::lm
