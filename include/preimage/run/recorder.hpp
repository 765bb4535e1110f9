// What the units of a run have committed: written by this rank as segments and journal lines, and
// known on every rank.
#pragma once

#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "preimage/base/log.hpp"
#include "preimage/cluster/communicator.hpp"
#include "preimage/run/lock.hpp"
#include "preimage/run/search.hpp"
#include "preimage/store/journal.hpp"
#include "preimage/store/results.hpp"
#include "preimage/store/segment.hpp"

namespace preimage::run {

// The result of a unit, as every rank knows it.
struct Committed {
  base::Json scalars;
  store::SegmentRef segment;  // empty name: no rows, no tensors
};

struct RecorderOptions {
  std::filesystem::path out;  // the run's folder
  std::string run_identity;
  std::string binary;  // SHA-256 of the program
  std::string host;
  std::string device;  // what computes here: "NVIDIA H200"
  double commit_interval_s = 10;
  int64_t commit_units = 1000;
  int64_t crashes_to_quarantine = 3;
  FolderClaim claim;  // asked before anything is changed in the folder
  base::Log log;
};

struct MergeOptions {
  base::Json config;  // effective
  store::Schemas schemas;
};

class Recorder {
 public:
  // Collective. Rank 0 reads the journal, sets damaged segments aside, removes half-written ones
  // and tells all ranks what is committed; then each opens its journal of the new generation.
  Recorder(const cluster::Communicator& comm, const RecorderOptions& options);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  int64_t generation() const { return generation_; }

  // The tables and tensors of what follows; flushes what came before.
  void set_schemas(const store::Schemas& schemas);

  // Null when the unit has no result that every rank knows. Valid until the next exchange().
  const Committed* find(const std::string& unit_id) const;
  bool quarantined(const std::string& unit_id) const { return quarantined_.count(unit_id) != 0; }
  // Writes down which unit is left out: for results.h5 and for status. Once a start for each.
  void set_aside(const Unit& unit, int64_t wave, int64_t index);
  // In flight on a rank that died, in an earlier start.
  bool suspect(const std::string& unit_id) const { return suspects_.count(unit_id) != 0; }
  int64_t known() const { return static_cast<int64_t>(committed_.size()); }

  // Adds what became known later to what run.json says of this start (add_to_start). Any rank may
  // call it; rank 0 writes.
  void describe_start(const std::string& key, const base::Json& value);

  // Notes that these units are being computed here, so that a crash can be laid at their door.
  void started(const std::vector<Unit>& units);
  // Takes a result over; writes all that is in memory when it is time to. `wave`, `index`: the
  // unit's place in the order of the run. Throws ExitCode::io; what was written before stays.
  void commit(const Unit& unit, int64_t wave, int64_t index, store::UnitOutput output);
  // Writes what is in memory: on disk when it returns.
  void flush();
  // The same where the oldest result in memory has waited for commit_interval_s.
  void flush_if_due();
  // Collective, after flush(): every rank learns what the others committed since the last exchange.
  void exchange();
  // Rows and tensors of a committed unit, read from its segment; a few segments are kept, so that
  // units of a wave may be read one after another.
  store::UnitOutput read(const std::string& unit_id) const;

  // What a search gave at its end (Search::finish); goes into results.h5. Rank 0.
  void add_final(store::UnitOutput output);
  // Collective: rank 0 merges every committed unit into DIR/results.h5, replacing an older one.
  void merge(const MergeOptions& options);
  // The journal ends in good order: what was started and not committed is no suspect.
  void close();

 private:
  using SegmentOutputs = std::unordered_map<std::string, store::UnitOutput>;  // by unit id
  void load();
  const SegmentOutputs& segment_of(const store::SegmentRef& ref) const;
  void require_own(const store::Journal& journal, const std::filesystem::path& folder) const;

  cluster::Communicator comm_;
  RecorderOptions options_;
  int64_t generation_ = 0;
  int64_t segments_written_ = 0;
  double oldest_s_ = 0;  // when the oldest unwritten result came in
  store::Schemas schemas_;
  std::unique_ptr<store::JournalWriter> journal_;
  std::vector<store::SegmentUnit> buffer_;
  std::vector<store::JournalUnit> buffer_lines_;
  std::vector<std::pair<std::string, Committed>>
      unshared_;  // written here, not known to others yet
  std::unordered_map<std::string, Committed> committed_;
  std::set<std::string> quarantined_;
  std::set<std::string> set_aside_;
  std::set<std::string> suspects_;
  store::UnitOutput final_;
  mutable std::list<std::pair<store::SegmentRef, SegmentOutputs>> read_;  // used last first
};

}  // namespace preimage::run
