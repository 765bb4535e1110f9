// run.json and state.json: which run a folder holds, where it ran, and how it stands.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "preimage/base/json.hpp"

namespace preimage::run {

// What decides the results of a run. Two runs with one hash give the same results.
struct Identity {
  base::Json body;   // {"method", "config", "sweep", "files": {path: sha256}, "numerics"}
  std::string hash;  // SHA-256 of the canonical JSON of `body`, hex
};

struct IdentityParts {
  std::string method;
  base::Json config;               // identity fields only
  base::Json sweep;                // the job's "sweep" object, or {}
  std::vector<std::string> files;  // model, tokenizer, data; hashed here
};

// Hashes the files; `folder`'s run.json saves the work for files of the same size and time. Throws
// ExitCode::bad_data naming a missing file.
Identity make_identity(const IdentityParts& parts, const std::filesystem::path& folder);

// The keys in which two JSON objects differ, as "dcm.k: 8 there, 4 here"; at most `limit` lines.
std::vector<std::string> differences(const base::Json& there, const base::Json& here,
                                     size_t limit = 20);

// One start of the program on a run.
struct Start {
  int64_t generation = 0;
  base::Json ranks;     // cluster::describe(): host, device, threads of each rank
  base::Json versions;  // libraries, program and git state: program_versions()
};

struct ManifestOptions {
  bool resume = false;
  bool strict = false;
};

// Throws ExitCode::bad_config when `folder` may not be used for a run: not a folder, not writable,
// or it holds other things than a run. Creates it when it is missing.
void prepare_folder(const std::filesystem::path& folder);

// Writes run.json, or checks the one that is there: another identity is refused with the differing
// keys, an own one without `resume` too (both ExitCode::bad_config). Call while holding the lock.
// Returns warnings (another program, CPU or GPU than before); with `strict` they are refused.
std::vector<std::string> write_manifest(const std::filesystem::path& folder,
                                        const Identity& identity, const base::Json& config,
                                        const ManifestOptions& options);

// Appends one start to run.json's "starts" and returns the warnings about a mix of programs or
// devices.
std::vector<std::string> record_start(const std::filesystem::path& folder, const Start& start,
                                      bool strict);

// {"preimage", "git", "binary" (SHA-256 of the program), "torch", "hdf5", "mpi", "compiler"}.
base::Json program_versions(const std::string& mpi);

struct RunState {
  std::string status = "running";  // running, done, stopped, failed
  int64_t generation = 0;
  int64_t done = 0;   // units with a result
  int64_t total = 0;  // units asked for so far
  int64_t quarantined = 0;
  std::string reason;  // of the last stop or failure
  int exit_code = 0;
};

// Replaces DIR/state.json. Never throws: a full disk must not hide the first error.
void write_state(const std::filesystem::path& folder, const RunState& state) noexcept;
// The state of a folder; status "" when there is none or it cannot be read.
RunState read_state(const std::filesystem::path& folder);

}  // namespace preimage::run
