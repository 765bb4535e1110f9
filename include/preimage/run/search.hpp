// The loop every search method runs in: ask for a wave of units, let all workers evaluate them in
// any order, tell the results in unit order. Resuming replays tell() over what was committed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/store/schema.hpp"

namespace preimage::run {

class Context;

// A piece of work whose result does not depend on who computes it, nor when.
struct Unit {
  std::string stage;  // "joint"
  base::Json key;     // {"k": 8, "pair": "5733be28…", "variant": "gauss"}
  std::string id;     // 32 hex digits; set by make_unit
  // What it is expected to take, in any measure of the search's own: dear units are dealt first, so
  // that no worker ends a wave with a long one. Changes no result.
  double cost = 0;
  // Units of a lower group are dealt before all of a higher one, whatever they cost: a worker that
  // has seen one of the next group gets none of an earlier one any more. Changes no result.
  int64_t group = 0;
};

// id = the first 128 bits of SHA-256 over the canonical JSON of {method, stage, key}.
Unit make_unit(const std::string& method, const std::string& stage, const base::Json& key);

struct Told {
  Unit unit;
  base::Json scalars;        // what the unit committed
  bool quarantined = false;  // it ended its rank three times: scalars is null
  // Its rows and tensors, read from its segment: on the ranks that need them, and not to be kept.
  std::function<store::UnitOutput()> output;
};

// The units of one wave as one worker sees them.
class Work {
 public:
  virtual ~Work() = default;
  // Up to `count` units nobody else has; empty when none is left or the run is stopping.
  virtual std::vector<Unit> take(int64_t count) = 0;
  // The unit is done: rows and tensors go to this worker's segment, scalars to the journal.
  virtual void commit(const Unit& unit, store::UnitOutput output) = 0;
  // True once the run must stop: drop what is in flight and return. To be asked often, each second
  // at least: progress is shown and what was committed is written then.
  virtual bool stopping() const = 0;
};

class Search {
 public:
  virtual ~Search() = default;
  // The units of wave 0, 1, 2, ...; an empty list ends the search. Pure fold over what was told:
  // every rank calls it and gets the same list. A unit that an earlier wave committed already is
  // not computed again; its result is told again.
  virtual std::vector<Unit> ask(int64_t wave) = 0;
  // What the ranks do together before the units of a wave are dealt: a training, a fit, a file
  // beside the results. Collective, called by every rank for each wave that has units, also when
  // all of them are committed: it must find its own finished work again (Context::folder()). The
  // only place for such things: ask and tell have no effects. Throws CollectiveError with
  // ExitCode::stopped, on all ranks, when the budget ends it.
  virtual void prepare(int64_t /*wave*/) {}
  // Called on every worker once a wave; owns its inner loop.
  virtual void evaluate(Work& work) = 0;
  // All results of the wave in unit order, on every rank. Pure, as ask() is.
  virtual void tell(const std::vector<Told>& results) = 0;
  // Rows and tensors derived from the whole search (gates, sweep tables), on rank 0 after the last
  // wave.
  virtual store::UnitOutput finish() { return {}; }
  virtual store::Schemas schemas() const = 0;
};

// Runs `search` to its end, or until the budget says stop (throws ExitCode::stopped). Commits go to
// the run's folder; at the end rank 0 merges everything into results.h5.
void search_loop(Context& context, Search& search);

}  // namespace preimage::run
