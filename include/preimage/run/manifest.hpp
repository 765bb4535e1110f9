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
  // {"method", "config", "sweep", "files": {path: sha256}, "numerics"}. Where a config field names
  // such a file or a folder of them, the hashes stand in its place (and not under "files"): it is
  // the content that counts, wherever it lies.
  base::Json body;
  std::string hash;                         // SHA-256 of the canonical JSON of `body`, hex
  base::Json files = base::Json::object();  // path -> SHA-256, of all of them
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

// Throws ExitCode::bad_config when `folder` may not be used for a run: not a folder, not writable,
// it holds other things than a run, or one of the names that a run needs is taken by something of
// another kind. Creates it when it is missing.
void prepare_folder(const std::filesystem::path& folder);

// Writes run.json, or checks the one that is there: another identity is refused with the differing
// keys, an own one without `resume` too (both ExitCode::bad_config). Where run.json is missing the
// journal's own identity is asked. Call while holding the lock.
void write_manifest(const std::filesystem::path& folder, const Identity& identity,
                    const base::Json& config, bool resume);

// Appends one start to run.json's "starts" and returns the warnings about a mix: another program,
// CPU or GPU than the first. With `strict` they are refused (ExitCode::bad_config).
std::vector<std::string> record_start(const std::filesystem::path& folder, const Start& start,
                                      bool strict);

// Adds what became known later to the start that runs: "sandbox" and its description. Rank 0, while
// the folder is its own: experiments ask Recorder::describe_start, which looks.
void add_to_start(const std::filesystem::path& folder, const std::string& key,
                  const base::Json& value);

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
  int64_t planned = 0;  // units of all waves as far as the job tells; 0: as in the state before
  // The rank to be accused of a failure: >= 0, or
  static constexpr int kUnknown = -1, kNobody = -2;
  int culprit = kUnknown;
};

// Replaces DIR/state.json, unless it is of a later generation: then the folder is another start's.
// Never throws: a full disk must not hide the first error.
void write_state(const std::filesystem::path& folder, const RunState& state) noexcept;
// The state of a folder; status "" when there is none or it cannot be read.
RunState read_state(const std::filesystem::path& folder);

}  // namespace preimage::run
