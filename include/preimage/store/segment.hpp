// Segments: immutable HDF5 files that hold what a batch of units committed. A segment is built in
// memory and written with plain write(2), fsync and rename: a kill leaves a whole file or none, and
// a full disk is an error like any other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/store/schema.hpp"

namespace preimage::store {

// Where and by what a segment was computed.
struct SegmentHeader {
  std::string run_identity;  // hash of the run's identity
  std::string binary;        // hash of the program
  std::string host;
  std::string device;  // "NVIDIA H200", "AMD EPYC 9755"
  int64_t generation = 0;
  int64_t rank = 0;
  bool operator==(const SegmentHeader&) const = default;
};

struct SegmentUnit {
  std::string id;
  int64_t wave = 0;
  int64_t index = 0;  // within the wave
  UnitOutput output;  // its scalars are the journal's and are not stored here
};

// How the journal names a segment: enough to notice any change of the file.
struct SegmentRef {
  std::string name;    // "seg-g003-r001-000017.h5", inside DIR/segments
  uint32_t crc = 0;    // CRC-32C of the file
  uint64_t bytes = 0;  // its size
};

struct Segment {
  SegmentHeader header;
  std::vector<SegmentUnit> units;  // in the order of write_segment
  Schemas schemas;
};

std::string segment_name(int64_t generation, int64_t rank, int64_t number);

// Every table and tensor of a unit's output is named in `schemas` (else ExitCode::bug). Refuses
// with ExitCode::io and the bytes needed when the file system has less room.
SegmentRef write_segment(const std::filesystem::path& path, const SegmentHeader& header,
                         const std::vector<SegmentUnit>& units, const Schemas& schemas);

// What is wrong with the file behind `ref`, with its name and both numbers, or nothing.
std::optional<std::string> segment_fault(const std::filesystem::path& folder,
                                         const SegmentRef& ref);

// Reads a segment whole; throws ExitCode::bad_data with segment_fault's text when the file is not
// the one that was committed.
Segment read_segment(const std::filesystem::path& folder, const SegmentRef& ref);

// How many rows and items there are, without reading them.
struct SegmentSizes {
  SegmentHeader header;
  std::vector<std::string> unit_ids;
  struct Items {
    std::vector<int64_t> unit;                 // position in unit_ids, for each item
    std::vector<std::vector<int64_t>> shapes;  // of each item
  };
  std::map<std::string, Items> tensors;
};
SegmentSizes read_segment_sizes(const std::filesystem::path& folder, const SegmentRef& ref);

}  // namespace preimage::store
