// The journal of a run: what was committed, and where. One file for each generation (start of the
// program) and rank, only appended to; a line counts once its end of line is on disk and its
// checksum holds. When a generation begins, all older files are folded into one.
//
// A line: {"crc":"<8 hex digits>","record":{...}}; the CRC-32C is of the bytes of the record. The
// first line of a file says which run it belongs to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "preimage/base/file.hpp"
#include "preimage/base/json.hpp"
#include "preimage/store/segment.hpp"

namespace preimage::store {

struct JournalUnit {
  std::string id;
  int64_t wave = 0;
  int64_t index = 0;
  std::string stage;
  base::Json key;
  base::Json scalars;  // finite numbers only: JSON writes NaN as null
};

// One line: a segment with its units. A commit without rows and tensors has no segment (empty
// name).
struct JournalCommit {
  SegmentRef segment;
  std::vector<JournalUnit> units;
};

class JournalWriter {
 public:
  // Begins a file of its own. ExitCode::io when it is there already: then another run has taken
  // this generation.
  JournalWriter(const std::filesystem::path& folder, int64_t generation, int64_t rank,
                const std::string& run_identity);
  // On disk when it returns (fdatasync). Throws ExitCode::io; then the line is not in the file.
  void commit(const JournalCommit& commit);
  // Marks units as being computed here, so that a crash can be laid at their door. Not synced: it
  // outlives the process, not the machine.
  void started(const std::vector<std::string>& unit_ids);
  // The unit is left out from now on: named here, so that everybody can say which it is.
  void quarantine(const JournalUnit& unit, const std::string& reason);
  // Ends the file in good order: units started and not committed are not suspects.
  void closed();

 private:
  void append(const base::Json& record);
  base::AppendFile file_;
};

// Said by the supervisor: this rank of this generation died by itself (the others were only taken
// along), or rank -1: nobody knows which. The units in flight there get one more crash. A
// generation that ended otherwise (walltime, kill, loss of the node) accuses no unit.
void mark_crash(const std::filesystem::path& folder, int64_t generation, int64_t rank);

// Gives units in quarantine (all of them where `unit_ids` is empty) another chance: they count as
// never having crashed. Returns their ids; ExitCode::bad_config for an id that is not in
// quarantine. Call while nobody runs.
std::vector<std::string> release_quarantine(const std::filesystem::path& folder,
                                            const std::vector<std::string>& unit_ids);

// A unit that is left out because it ended its rank too often.
struct QuarantinedUnit : JournalUnit {
  std::string reason;
};

struct CommittedUnit : JournalUnit {
  int64_t segment = -1;  // position in Journal::segments; -1: no rows, no tensors
};

struct Journal {
  std::vector<SegmentRef> segments;
  std::vector<CommittedUnit> units;               // in the order of the journal; ids are unique
  std::unordered_map<std::string, size_t> by_id;  // position in `units`
  std::map<std::string, QuarantinedUnit> quarantined;  // by id
  std::map<std::string, int64_t>
      crashes;                        // unit id -> how often it was in flight on a rank that died
  std::vector<std::string> warnings;  // damaged lines: file:line, byte, what was lost
  int64_t last_generation = -1;       // -1: nothing has run yet
  std::set<std::string> identities;   // of the runs that wrote commits; "": a file does not say

  // Sorted by (wave, index), then id.
  std::vector<CommittedUnit> in_order() const;
  std::vector<QuarantinedUnit> quarantined_in_order() const;
};

// Reads every file of the folder (missing folder: an empty journal). A torn last line is dropped in
// silence; any other damaged line is skipped with a warning, and its units are computed again.
Journal load_journal(const std::filesystem::path& folder);

// Checks every segment that a commit names. One that is not what was committed is renamed to *.bad,
// its units are dropped, and a warning is added. Call before compact_journal, on one rank.
void drop_bad_segments(Journal& journal, const std::filesystem::path& segments_folder);

// Folds the files of all generations up to `journal.last_generation` into one and deletes them.
// Call on one rank before a new generation writes. A kill at any point loses nothing.
void compact_journal(const std::filesystem::path& folder, const Journal& journal);

}  // namespace preimage::store
