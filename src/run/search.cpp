#include "preimage/run/search.hpp"

#include <chrono>
#include <set>
#include <thread>
#include <unordered_map>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/cluster/ticket_queue.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/manifest.hpp"
#include "preimage/run/progress.hpp"
#include "preimage/run/recorder.hpp"
#include "preimage/run/watchdog.hpp"
#include "sweep_search.hpp"

namespace preimage::run {
namespace {

using base::str;
using cluster::CollectiveError;
using Counter = cluster::TicketQueue::Counter;

constexpr double kPollInterval_s = 0.02;  // of shared counters, inside a worker's loop
constexpr double kStateInterval_s = 10;   // of state.json

// Where a unit stands in its wave.
struct Place {
  const Unit* unit;
  int64_t index;
};

// One wave, the same on every rank.
struct Wave {
  int64_t number = 0;
  std::vector<Unit> units;
  std::vector<Place> missing;   // to be computed, each id once
  std::vector<Place> suspects;  // the same, but in flight on a rank that died: computed one by one
  int64_t to_do() const { return static_cast<int64_t>(missing.size() + suspects.size()); }
};

class Loop {
 public:
  Loop(Context& context, Search& search)
      : context_(context),
        search_(search),
        recorder_(context.recorder()),
        queue_(cluster::make_ticket_queue(context.world())) {}

  void run();

  // What a worker needs of the loop.
  Context& context() { return context_; }
  Recorder& recorder() { return recorder_; }
  cluster::TicketQueue& queue() { return *queue_; }
  bool must_stop();
  void show(const Wave& wave);

 private:
  Wave next_wave(int64_t number);
  void evaluate(const Wave& wave);
  void evaluate_share(const Wave& wave, const std::vector<Place>& places, bool one_by_one);
  void wait_for_others(const Wave& wave);
  std::vector<Told> results(const Wave& wave) const;
  void leave_if_stopping(const Wave& wave);
  void save_state(const Wave& wave, bool now);
  ProgressCounts counts(const Wave& wave);

  Context& context_;
  Search& search_;
  Recorder& recorder_;
  std::unique_ptr<cluster::TicketQueue> queue_;
  int64_t dealt_before_ = 0;  // units computed in earlier waves of this start
  int64_t asked_ = 0;         // distinct units of all waves so far
  int64_t quarantined_ = 0;   // of these
  std::set<std::string> seen_;
  double last_state_s_ = 0;
};

class WaveWork : public Work {
 public:
  // With `single` the worker gets one unit and no other.
  WaveWork(Loop& loop, const Wave& wave, bool single)
      : loop_(loop), wave_(wave), places_(single ? wave.suspects : wave.missing), single_(single) {}

  bool exhausted() const { return exhausted_; }

  std::vector<Unit> take(int64_t count) override {
    if (count <= 0 || stopping() || (single_ && taken_)) return {};
    const auto range = loop_.queue().next(single_ ? 1 : count);
    taken_ = true;
    exhausted_ = range.empty();
    std::vector<Unit> units;
    for (int64_t i = range.begin; i < range.end; ++i) {
      const auto& place = places_[static_cast<size_t>(i)];
      in_flight_.emplace(place.unit->id, place.index);
      units.push_back(*place.unit);
    }
    loop_.recorder().started(units);
    return units;
  }

  void commit(const Unit& unit, store::UnitOutput output) override {
    const auto found = in_flight_.find(unit.id);
    base::check(found != in_flight_.end(), "a worker commits what it took, once");
    loop_.recorder().commit(unit, wave_.number, found->second, std::move(output));
    in_flight_.erase(found);
    loop_.queue().add(Counter::done, 1);
    // The grace after a signal may be one second: nothing finished stays in memory then.
    if (stopping()) loop_.recorder().flush();
  }

  bool stopping() const override {
    if (auto* watchdog = loop_.context().watchdog()) watchdog->tick();
    const double now = base::monotonic_seconds();
    if (now - last_poll_s_ < kPollInterval_s) return stopping_;
    last_poll_s_ = now;
    // Not only at the next commit, which may be long in coming.
    loop_.recorder().flush_if_due();
    loop_.show(wave_);
    if (!stopping_ && loop_.must_stop()) {
      stopping_ = true;
      loop_.recorder().flush();
    }
    return stopping_;
  }

 private:
  Loop& loop_;
  const Wave& wave_;
  const std::vector<Place>& places_;
  bool single_;
  bool taken_ = false;
  bool exhausted_ = false;
  std::unordered_map<std::string, int64_t> in_flight_;  // id -> index in the wave
  mutable double last_poll_s_ = 0;
  mutable bool stopping_ = false;
};

bool Loop::must_stop() {
  if (context_.budget().must_stop()) {
    queue_->close();
    return true;
  }
  return queue_->closed();
}

ProgressCounts Loop::counts(const Wave& wave) {
  const auto told = static_cast<int64_t>(wave.units.size()) - wave.to_do();
  return {.wave = wave.number,
          .done = told + queue_->read(Counter::done) - dealt_before_,
          .total = static_cast<int64_t>(wave.units.size()),
          .busy = queue_->read(Counter::busy),
          .workers = context_.world().size()};
}

void Loop::show(const Wave& wave) {
  if (!context_.world().root()) return;
  context_.progress().update(counts(wave));
  save_state(wave, false);
}

void Loop::save_state(const Wave& wave, bool now) {
  if (!context_.world().root()) return;
  if (!now && base::monotonic_seconds() - last_state_s_ < kStateInterval_s) return;
  last_state_s_ = base::monotonic_seconds();
  write_state(context_.out(), {.generation = recorder_.generation(),
                               .done = asked_ - quarantined_ - wave.to_do() +
                                       queue_->read(Counter::done) - dealt_before_,
                               .total = asked_,
                               .quarantined = quarantined_});
}

// All ranks must have folded the same results into the same list, or the dealing would be nonsense.
void check_agreement(const cluster::Communicator& world, const Wave& wave) {
  if (world.size() == 1) return;
  std::string ids;
  for (const auto& unit : wave.units) ids += unit.id;
  const auto digests = world.all_gather(base::sha256_hex(ids));
  for (const auto& digest : digests) {
    if (digest == digests.front()) continue;
    throw CollectiveError(
        base::ExitCode::bug,
        str("wave ", wave.number, ": ask() gave different units on different ranks"));
  }
}

Wave Loop::next_wave(int64_t number) {
  Wave wave{.number = number, .units = search_.ask(number)};
  check_agreement(context_.world(), wave);
  std::set<std::string> in_wave;
  for (size_t i = 0; i < wave.units.size(); ++i) {
    const auto& unit = wave.units[i];
    base::check(!unit.id.empty(), "a unit is made by make_unit");
    if (seen_.insert(unit.id).second) {
      ++asked_;
      if (recorder_.quarantined(unit.id)) ++quarantined_;
    }
    if (recorder_.find(unit.id)) continue;
    if (recorder_.quarantined(unit.id)) {
      recorder_.set_aside(unit, number, static_cast<int64_t>(i));
      continue;
    }
    if (!in_wave.insert(unit.id).second) continue;
    auto& list = recorder_.suspect(unit.id) ? wave.suspects : wave.missing;
    list.push_back({&unit, static_cast<int64_t>(i)});
  }
  std::stable_sort(wave.missing.begin(), wave.missing.end(), [](const Place& a, const Place& b) {
    if (a.unit->group != b.unit->group) return a.unit->group < b.unit->group;
    return a.unit->cost > b.unit->cost;
  });
  return wave;
}

void Loop::wait_for_others(const Wave& wave) {
  if (!context_.world().root()) return;
  while (queue_->read(Counter::busy) > 0) {
    must_stop();
    show(wave);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void Loop::evaluate(const Wave& wave) {
  if (wave.to_do() == 0) return;
  if (!wave.missing.empty()) evaluate_share(wave, wave.missing, false);
  // A unit that was in flight when its rank died is tried alone, so that its neighbours of then are
  // not suspected with it for ever.
  if (!wave.suspects.empty()) evaluate_share(wave, wave.suspects, true);
  recorder_.exchange();
  leave_if_stopping(wave);
}

void Loop::evaluate_share(const Wave& wave, const std::vector<Place>& places, bool one_by_one) {
  queue_->reset(static_cast<int64_t>(places.size()));
  queue_->add(Counter::busy, 1);
  if (auto* watchdog = context_.watchdog()) watchdog->arm();
  try {
    for (bool more = true; more;) {
      WaveWork work(*this, wave, one_by_one);
      search_.evaluate(work);
      recorder_.flush();
      more = one_by_one && !work.exhausted() && !must_stop();
    }
  } catch (...) {
    // What was finished stays, if the disk still takes it; the error itself goes on.
    try {
      recorder_.flush();
    } catch (const std::exception& second) {
      context_.log().error(str("results in memory are lost: ", second.what()));
    }
    throw;
  }
  if (auto* watchdog = context_.watchdog()) watchdog->disarm();
  queue_->add(Counter::busy, -1);
  wait_for_others(wave);
}

void Loop::leave_if_stopping(const Wave& wave) {
  const auto reasons = context_.world().all_gather(context_.budget().reason());
  std::string reason;
  for (const auto& each : reasons) {
    if (reason.empty()) reason = each;
  }
  if (!reason.empty()) {
    save_state(wave, true);
    throw CollectiveError(base::ExitCode::stopped,
                          str("stopped (", reason, ") in wave ", wave.number, " with ",
                              recorder_.known(), " units committed; --resume goes on"));
  }
  int64_t lost = 0;
  for (const auto* list : {&wave.missing, &wave.suspects}) {
    for (const auto& place : *list) lost += recorder_.find(place.unit->id) ? 0 : 1;
  }
  if (lost > 0) {
    throw CollectiveError(base::ExitCode::bug,
                          str("wave ", wave.number, ": evaluate() returned with ", lost, " of ",
                              wave.to_do(), " units not committed"));
  }
}

std::vector<Told> Loop::results(const Wave& wave) const {
  std::vector<Told> out;
  for (const auto& unit : wave.units) {
    const auto* committed = recorder_.find(unit.id);
    out.push_back({unit, committed ? committed->scalars : base::Json(), committed == nullptr,
                   [this, id = unit.id] { return recorder_.read(id); }});
  }
  return out;
}

void Loop::run() {
  recorder_.set_schemas(search_.schemas());
  for (int64_t number = 0;; ++number) {
    const Wave wave = next_wave(number);
    if (wave.units.empty()) {
      save_state(wave, true);
      break;
    }
    save_state(wave, number == 0);
    search_.prepare(number);
    evaluate(wave);
    search_.tell(results(wave));
    if (context_.world().root()) context_.progress().wave_done(counts(wave));
    dealt_before_ += wave.to_do();
  }
}

}  // namespace

Unit make_unit(const std::string& method, const std::string& stage, const base::Json& key) {
  const base::Json whole = {{"method", method}, {"stage", stage}, {"key", key}};
  return {stage, key, base::sha256_hex(base::canonical(whole)).substr(0, 32)};
}

void run_to_end(Context& context, Search& search) {
  Loop(context, search).run();
  auto& recorder = context.recorder();
  if (context.world().root()) recorder.add_final(search.finish());
  recorder.merge({.config = context.config(), .schemas = search.schemas()});
}

void search_loop(Context& context, Search& search) {
  if (!context.sweep().empty()) return sweep_loop({{&context, &search}});
  run_to_end(context, search);
}

}  // namespace preimage::run
