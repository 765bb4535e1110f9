// results.h5: everything a run committed, as one plain HDF5 file that any h5py opens.
//
//   /config, /provenance   groups; attribute "json" holds the whole, and each leaf is an attribute
//   of
//                          its own under its path ("dcm.k")
//   /units                 table: id, stage, key, wave, index, scalars of every unit; what a unit
//                          says under "seconds" in its scalars stands in the column `measured`
//   /quarantine            table: units that are left out because they ended their rank
//   /<table>               compound tables
//   /<tensor>              items along the first axis, padded at the end with NaN or -1
//   /index/<tensor>        for each item: row of its unit in /units (-1: of the end of the search),
//   its
//                          run (0 unless merged), and its sizes before padding
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/store/journal.hpp"
#include "preimage/store/schema.hpp"
#include "preimage/store/segment.hpp"

namespace preimage::store {

struct ResultsOptions {
  base::Json config = base::Json::object();
  base::Json provenance = base::Json::object();
  uint64_t cache_bytes = 1ull << 30;  // segments held in memory (their size on disk)
  std::string run_identity = "";      // that every segment must name; "": whatever they name
  std::function<void()> before_publishing = {};  // may throw: then the older file stays
};

struct ResultsInput {
  std::filesystem::path segments_folder;
  std::vector<SegmentRef> segments;  // CommittedUnit::segment points into them
  std::vector<CommittedUnit> units;  // in the order in which their rows shall stand
  UnitOutput finish;                 // what Search::finish gave; comes after all units
  std::vector<QuarantinedUnit> quarantined = {};
};

// Writes path + ".tmp", fsyncs, renames. Equal inputs give equal values. Segments are read one
// after the other as the units need them: memory is bounded by cache_bytes as long as units that
// stand near each other lie in few segments, as they do when they were dealt in order. Throws
// ExitCode::bad_data when a segment is not what was committed (--resume computes its units again),
// ExitCode::io with the bytes needed when the disk is full, ExitCode::bug on a broken schema.
void write_results(const std::filesystem::path& path, const ResultsOptions& options,
                   const Schemas& schemas, const ResultsInput& input);

}  // namespace preimage::store
