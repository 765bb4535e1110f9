#include "preimage/run/manifest.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/store/journal.hpp"

#include <torch/headeronly/version.h>

#ifndef PREIMAGE_GIT_STATE
#define PREIMAGE_GIT_STATE "unknown"
#endif
#ifndef PREIMAGE_VERSION
#define PREIMAGE_VERSION "0.1.0"
#endif

namespace preimage::run {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str;

// Raised when the same config gives other numbers: an older run is then not continued.
constexpr int kNumericsVersion = 1;
// 2: the identity holds contents in the place of paths.
constexpr int kManifestVersion = 2;
constexpr base::JsonLimits kManifestLimits{.max_bytes = 256ull << 20};

Json read_manifest(const fs::path& folder) {
  const fs::path path = folder / "run.json";
  if (!fs::exists(path)) return nullptr;
  Json manifest = base::read_json(path, kManifestLimits);
  const auto version = manifest.is_object() ? manifest.value("schema_version", 0) : 0;
  if (version != kManifestVersion) {
    throw base::config_error(str(path.string(), ": schema_version is ", version,
                                 ", this program goes on with ", kManifestVersion,
                                 "; use the preimage that made it, or another --out"));
  }
  return manifest;
}

void save_manifest(const fs::path& folder, const Json& manifest) {
  base::write_file_atomically(folder / "run.json", manifest.dump(2) + "\n");
}

// Size and time of a file: while both stay, so does its hash.
Json stamp_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    throw base::data_error(path +
                           ": not found or not readable, but the job names it; correct the path");
  }
  return {{"bytes", info.st_size},
          {"mtime_ns", info.st_mtim.tv_sec * int64_t{1000000000} + info.st_mtim.tv_nsec}};
}

void collect(const Json& there, const Json& here, const std::string& path,
             std::vector<std::string>& out) {
  if (there == here) return;
  if (!there.is_object() || !here.is_object()) {
    const auto shown = [](const Json& value) {
      if (value.is_discarded()) return std::string("absent");
      const auto text = value.dump();
      return text.size() > 80 ? text.substr(0, 77) + "..." : text;
    };
    out.push_back(str(path, ": ", shown(there), " there, ", shown(here), " here"));
    return;
  }
  std::set<std::string> keys;
  for (const auto& [key, value] : there.items()) keys.insert(key);
  for (const auto& [key, value] : here.items()) keys.insert(key);
  const Json absent(Json::value_t::discarded);
  for (const auto& key : keys) {
    collect(there.contains(key) ? there[key] : absent, here.contains(key) ? here[key] : absent,
            path.empty() ? key : path + "." + key, out);
  }
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// "rank device" pairs reduced to the set of kinds.
std::set<std::string> kinds_of(const Json& start) {
  std::set<std::string> out;
  for (const auto& rank : start.value("ranks", Json::array())) out.insert(rank.value("model", "?"));
  return out;
}

std::string listed(const std::set<std::string>& names) {
  return base::join(std::vector<std::string>(names.begin(), names.end()), ", ");
}

std::string normal(const std::string& path) {
  auto text = fs::path(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

// `value` with the hashes of the files that a text of it names, or that lie below it, in its place;
// `used` gets the files' names.
Json with_contents(const Json& value, const Json& hashes, std::set<std::string>& used) {
  if (value.is_structured()) {
    Json out = value;
    for (auto& element : out) element = with_contents(element, hashes, used);
    return out;
  }
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) return value;
  const auto path = normal(value);
  Json contents = Json::object();
  for (const auto& [file, hash] : hashes.items()) {
    const auto name = normal(file);
    const bool same = name == path;
    if (!same && !(path != "." && name.starts_with(path + "/"))) continue;
    contents[same ? std::string("content") : name.substr(path.size() + 1)] = hash;
    used.insert(file);
  }
  return contents.empty() ? value : contents;
}

// A folder with a journal and without run.json: somebody deleted it. The journal knows its run.
void check_journal(const fs::path& folder, const Identity& identity, bool resume) {
  const auto journal = store::load_journal(folder / "journal");
  if (journal.units.empty()) return;
  const std::set<std::string> ours = {identity.hash};
  if (journal.identities == ours && resume) return;
  const bool same = journal.identities == ours;
  throw base::config_error(
      str(folder.string(), ": holds ", journal.units.size(), " results of ",
          same ? "this run" : "another run", " in its journal, but no run.json (deleted?); ",
          same ? "add --resume to go on, or choose another --out" : "choose another --out"));
}

void require_kind(const fs::path& path, bool folder) {
  std::error_code ignored;
  const auto status = fs::status(path, ignored);
  if (!fs::exists(status) || (folder ? fs::is_directory(status) : fs::is_regular_file(status)))
    return;
  const char* found = fs::is_directory(status)      ? "a folder"
                      : fs::is_regular_file(status) ? "a plain file"
                                                    : "neither file nor folder";
  throw base::config_error(str(path.string(), ": found ", found, ", a run needs ",
                               folder ? "a folder" : "a plain file",
                               " of this name; remove it or choose another --out"));
}

}  // namespace

Identity make_identity(const IdentityParts& parts, const fs::path& folder) {
  Json known = Json::object();
  if (fs::exists(folder / "run.json"))
    known = read_manifest(folder).value("file_stamps", Json::object());
  Json hashes = Json::object();
  for (const auto& file : parts.files) {
    Json stamp = stamp_of(file);
    const auto before = known.find(file);
    const bool same = before != known.end() && (*before)["bytes"] == stamp["bytes"] &&
                      (*before)["mtime_ns"] == stamp["mtime_ns"];
    hashes[file] = same ? (*before)["sha256"] : Json(base::sha256_hex_of_file(file));
  }
  Identity out;
  std::set<std::string> used;
  const auto config = with_contents(parts.config, hashes, used);
  out.body = {{"method", parts.method},
              {"config", config},
              {"sweep", parts.sweep},  // as written: it is part of the units' keys
              {"files", Json::object()},
              {"numerics", kNumericsVersion}};
  for (const auto& [file, hash] : hashes.items()) {
    if (!used.contains(file)) out.body["files"][file] = hash;
  }
  for (const auto& file : parts.files) out.files[file] = hashes[file];
  out.hash = base::sha256_hex(base::canonical(out.body));
  return out;
}

std::vector<std::string> differences(const Json& there, const Json& here, size_t limit) {
  std::vector<std::string> out;
  collect(there, here, "", out);
  if (out.size() > limit) {
    const size_t more = out.size() - limit;
    out.resize(limit);
    out.push_back(str("and ", more, " more"));
  }
  return out;
}

void prepare_folder(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_directory(folder, error)) {
    throw base::io_error(folder.string() + ": not a folder; choose another --out");
  }
  fs::create_directories(folder, error);
  if (error || ::access(folder.c_str(), W_OK | X_OK) != 0) {
    throw base::io_error(folder.string() + ": cannot be created or written" +
                         (error ? " (" + error.message() + ")" : "") + "; choose another --out");
  }
  const std::vector<std::string> folders = {"journal", "segments", "log",
                                            "report",  "alive",    "combinations"},
                                 files = {"run.json", "state.json", "results.h5", "lock"};
  for (const auto& name : folders) require_kind(folder / name, true);
  for (const auto& name : files) require_kind(folder / name, false);
  // A journal names its run, and a state of a training names the training: write_manifest asks.
  const bool has_journal =
      fs::is_directory(folder / "journal") && !fs::is_empty(folder / "journal");
  if (has_journal || fs::exists(folder / "run.json")) return;
  std::set<std::string> ours(folders.begin(), folders.end());
  ours.insert(files.begin(), files.end());
  // States of trainings without a journal are nobody's.
  ours.erase("combinations");
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto name = entry.path().filename().string();
    if (ours.count(name) || name.rfind("lock", 0) == 0 || name.rfind("run.json", 0) == 0) continue;
    throw base::config_error(str(folder.string(), ": not empty and no run.json in it (found ", name,
                                 "); a run needs a folder of its own: choose another --out"));
  }
}

void write_manifest(const fs::path& folder, const Identity& identity, const Json& config,
                    bool resume) {
  Json manifest = read_manifest(folder);
  const bool fresh = manifest.is_null();
  if (fresh) {
    check_journal(folder, identity, resume);
  } else {
    const auto other = manifest.value("identity", "");
    if (other != identity.hash) {
      const auto keys = differences(manifest.value("identity_body", Json::object()), identity.body);
      throw base::config_error(
          str(folder.string(), ": holds another run (identity ", other.substr(0, 12),
              ", this job is ", identity.hash.substr(0, 12), "); they differ in:\n  ",
              base::join(keys, "\n  "), "\nchoose another --out, or undo the change"));
    }
    if (!resume) {
      throw base::config_error(str(folder.string(), ": holds this run already (identity ",
                                   other.substr(0, 12), ", state \"", read_state(folder).status,
                                   "\"); add --resume to go on, or choose another --out"));
    }
  }
  Json stamps = Json::object();
  for (const auto& [file, hash] : identity.files.items()) {
    stamps[file] = stamp_of(file);
    stamps[file]["sha256"] = hash;
  }
  manifest["schema_version"] = kManifestVersion;
  manifest["identity"] = identity.hash;
  manifest["identity_body"] = identity.body;
  manifest["file_stamps"] = stamps;
  manifest["config"] = config;
  if (fresh) manifest["starts"] = Json::array();
  save_manifest(folder, manifest);
}

std::vector<std::string> record_start(const fs::path& folder, const Start& start, bool strict) {
  Json manifest = read_manifest(folder);
  base::check(manifest.is_object(), "write_manifest comes before record_start");
  const Json now = {{"generation", start.generation},
                    {"time", utc_now()},
                    {"ranks", start.ranks},
                    {"versions", start.versions}};
  std::vector<std::string> warnings;
  auto& starts = manifest["starts"];
  if (!starts.empty()) {
    const Json& first = starts.front();
    const auto changed = differences(first.value("versions", Json::object()), start.versions);
    if (!changed.empty()) {
      warnings.push_back("the program is not the one that this run began with: " +
                         base::join(changed, "; "));
    }
    if (kinds_of(first) != kinds_of(now)) {
      warnings.push_back(str("the run began on ", listed(kinds_of(first)), " and goes on on ",
                             listed(kinds_of(now))));
    }
    if (strict && !warnings.empty()) {
      throw base::config_error(str(folder.string(),
                                   ": run.strict refuses a mix: ", base::join(warnings, "; "),
                                   "; use the first program and device, or unset run.strict"));
    }
    for (auto& warning : warnings)
      warning += "; equality bit by bit is not promised for such a mix";
  }
  starts.push_back(now);
  if (!warnings.empty()) manifest["mixed"] = true;
  save_manifest(folder, manifest);
  return warnings;
}

void add_to_start(const fs::path& folder, const std::string& key, const Json& value) {
  Json manifest = read_manifest(folder);
  base::check(manifest.is_object() && !manifest["starts"].empty(),
              "record_start comes before add_to_start");
  manifest["starts"].back()[key] = value;
  save_manifest(folder, manifest);
}

Json program_versions(const std::string& mpi) {
  Json out = {{"preimage", PREIMAGE_VERSION}, {"git", PREIMAGE_GIT_STATE}, {"mpi", mpi}};
  out["binary"] = base::sha256_hex_of_file("/proc/self/exe");
  out["compiler"] = str("g++ ", __VERSION__);
#ifdef TORCH_VERSION
  out["torch"] = TORCH_VERSION;
#endif
  return out;
}

void write_state(const fs::path& folder, const RunState& state) noexcept {
  try {
    const auto before = read_state(folder);
    if (!before.status.empty() && before.generation > state.generation) return;
    const Json json = {{"status", state.status},
                       {"generation", state.generation},
                       {"done", state.done},
                       {"total", state.total},
                       {"quarantined", state.quarantined},
                       {"reason", state.reason},
                       {"exit_code", state.exit_code},
                       {"planned", state.planned > 0 ? state.planned : before.planned},
                       {"culprit", state.culprit},
                       {"time", utc_now()}};
    base::write_file_atomically(folder / "state.json",
                                json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } catch (...) {  // the journal decides what is done; the state is for people and the supervisor
  }
}

RunState read_state(const fs::path& folder) {
  RunState out;
  out.status = "";
  try {
    const Json json = base::read_json(folder / "state.json");
    out.status = json.at("status");
    out.generation = json.at("generation");
    out.done = json.at("done");
    out.total = json.at("total");
    out.quarantined = json.at("quarantined");
    out.reason = json.at("reason");
    out.exit_code = json.at("exit_code");
    out.planned = json.value("planned", int64_t{0});
    out.culprit = json.value("culprit", RunState::kUnknown);
  } catch (const std::exception&) {
    out.status = "";
  }
  return out;
}

}  // namespace preimage::run
