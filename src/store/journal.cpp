#include "preimage/store/journal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <set>

#include "preimage/base/crc32c.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::store {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str;

constexpr std::string_view kHead = "{\"crc\":\"", kMiddle = "\",\"record\":", kTail = "}";

std::string hex32(uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "%08x", value);
  return text;
}

std::string line_of(const Json& record) {
  const auto text = base::canonical(record);
  return str(kHead, hex32(base::crc32c(text)), kMiddle, text, kTail, "\n");
}

// The record of a line without its end of line; nothing when it is damaged.
std::optional<Json> record_of(std::string_view line) {
  const size_t fixed = kHead.size() + 8 + kMiddle.size();
  if (line.size() < fixed + kTail.size() || !line.starts_with(kHead) || !line.ends_with(kTail) ||
      line.substr(kHead.size() + 8, kMiddle.size()) != kMiddle) {
    return std::nullopt;
  }
  const auto text = line.substr(fixed, line.size() - fixed - kTail.size());
  if (line.substr(kHead.size(), 8) != hex32(base::crc32c(text))) return std::nullopt;
  auto record = Json::parse(text, nullptr, false);
  if (!record.is_object()) return std::nullopt;
  return record;
}

Json unit_record(const JournalUnit& unit) {
  return {{"id", unit.id},       {"wave", unit.wave}, {"index", unit.index},
          {"stage", unit.stage}, {"key", unit.key},   {"scalars", unit.scalars}};
}

void read_unit(const Json& json, JournalUnit& unit) {
  unit.id = json.at("id");
  unit.wave = json.at("wave");
  unit.index = json.at("index");
  unit.stage = json.at("stage");
  unit.key = json.at("key");
  unit.scalars = json.at("scalars");
}

Json quarantine_record(const QuarantinedUnit& unit) {
  return {{"type", "quarantine"}, {"unit", unit_record(unit)}, {"reason", unit.reason}};
}

Json commit_record(const JournalCommit& commit) {
  Json units = Json::array();
  for (const auto& unit : commit.units) units.push_back(unit_record(unit));
  Json record = {{"type", "commit"}, {"units", std::move(units)}};
  if (!commit.segment.name.empty()) {
    record["segment"] = commit.segment.name;
    record["segment_crc"] = hex32(commit.segment.crc);
    record["segment_bytes"] = commit.segment.bytes;
  }
  return record;
}

SegmentRef segment_from(const Json& record) {
  if (!record.contains("segment")) return {};
  const auto crc = record.at("segment_crc").get<std::string>();
  return {record.at("segment"), static_cast<uint32_t>(std::strtoul(crc.c_str(), nullptr, 16)),
          record.at("segment_bytes")};
}

// What one file of the journal is called after.
struct FileName {
  fs::path path;
  int64_t generation = 0;
  int64_t rank = 0;
  bool compact = false;
  auto order() const { return std::tuple(generation, !compact, rank, path.string()); }
};

std::optional<FileName> parse_name(const fs::path& path) {
  const auto name = path.filename().string();
  long long generation = 0, rank = 0;
  int end = 0;
  if (std::sscanf(name.c_str(), "g%lld-r%lld.jsonl%n", &generation, &rank, &end) == 2 && end > 0 &&
      name[static_cast<size_t>(end)] == '\0') {
    return FileName{path, generation, rank, false};
  }
  end = 0;
  if (std::sscanf(name.c_str(), "g%lld-compact.jsonl%n", &generation, &end) == 1 && end > 0 &&
      name[static_cast<size_t>(end)] == '\0') {
    return FileName{path, generation, -1, true};
  }
  return std::nullopt;
}

std::vector<FileName> journal_files(const fs::path& folder) {
  std::vector<FileName> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (auto name = parse_name(entry.path())) files.push_back(std::move(*name));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw base::errno_error(folder.string() + ": cannot be listed", error.value());
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.order() < b.order(); });
  return files;
}

class Loader {
 public:
  void read(const FileName& file) {
    in_flight_.clear();
    generation_ = file.generation;
    identity_.clear();
    const auto bytes = base::read_file(file.path);
    size_t at = 0;
    for (int64_t line = 1; at < bytes.size(); ++line) {
      const size_t end = bytes.find('\n', at);
      if (end == std::string::npos) break;  // torn by a kill: it was never acknowledged
      const std::string_view text(bytes.data() + at, end - at);
      const std::string place = str(file.path.string(), ":", line, " (byte ", at, ")");
      if (const auto record = record_of(text)) {
        try {
          add(*record);
        } catch (const Json::exception& wrong) {
          warn(place + ": a record of another version of preimage (" + wrong.what() + ")");
        }
      } else {
        warn(place + ": checksum does not match");
      }
      at = end + 1;
    }
    if (!file.compact) suspects_[file.generation][file.rank] = in_flight_;
    journal_.last_generation = std::max(journal_.last_generation, file.generation);
  }

  Journal take() {
    for (const auto& [generation, guilty] : crashed_) {
      for (const auto& [rank, ids] : suspects_[generation]) {
        if (!guilty.contains(-1) && !guilty.contains(rank)) continue;
        for (const auto& id : ids) {
          const auto found = released_.find(id);
          if (found == released_.end() || found->second < generation) ++journal_.crashes[id];
        }
      }
    }
    return std::move(journal_);
  }

 private:
  void warn(const std::string& what) {
    journal_.warnings.push_back(what + "; the line is skipped, its units are computed again");
  }

  void add(const Json& record) {
    const auto type = record.at("type").get<std::string>();
    if (type == "commit") {
      commit(record);
    } else if (type == "started") {
      for (const auto& id : record.at("units")) in_flight_.insert(id.get<std::string>());
    } else if (type == "closed") {
      in_flight_.clear();
    } else if (type == "run") {
      identity_ = record.at("identity");
    } else if (type == "quarantine") {
      quarantine(record);
    } else if (type == "release") {
      for (const std::string id : record.at("units")) {
        journal_.quarantined.erase(id);
        journal_.crashes.erase(id);
        released_[id] = generation_;
      }
    } else if (type == "crash") {
      crashed_[record.at("generation")].insert(record.at("rank").get<int64_t>());
    } else if (type == "crashes") {
      for (const auto& [id, count] : record.at("units").items()) {
        journal_.crashes[id] += count.get<int64_t>();
      }
    }  // a later version may write more: of no concern here
  }

  void quarantine(const Json& record) {
    QuarantinedUnit unit;
    const Json& about = record.at("unit");
    if (about.is_object())
      read_unit(about, unit);
    else
      unit.id = about;  // as preimage 0.1 wrote it
    unit.reason = record.at("reason");
    journal_.quarantined[unit.id] = unit;
  }

  void commit(const Json& record) {
    journal_.identities.insert(identity_);
    const auto ref = segment_from(record);
    int64_t segment = -1;
    if (!ref.name.empty()) {
      segment = static_cast<int64_t>(journal_.segments.size());
      journal_.segments.push_back(ref);
    }
    for (const auto& json : record.at("units")) {
      CommittedUnit unit;
      read_unit(json, unit);
      unit.segment = segment;
      in_flight_.erase(unit.id);
      // Should a unit have been computed twice, both results are equal; the later one counts.
      const auto [place, fresh] = journal_.by_id.try_emplace(unit.id, journal_.units.size());
      if (fresh)
        journal_.units.push_back(std::move(unit));
      else
        journal_.units[place->second] = std::move(unit);
    }
  }

  Journal journal_;
  int64_t generation_ = -1;                  // of the file being read
  std::string identity_;                     // of its run
  std::map<std::string, int64_t> released_;  // unit id -> the generation up to which it is forgiven
  std::set<std::string> in_flight_;
  std::map<int64_t, std::map<int64_t, std::set<std::string>>> suspects_;  // generation, rank
  std::map<int64_t, std::set<int64_t>> crashed_;                          // generation -> ranks
};

// The rank in the name of the file that the supervisor writes beside those of the ranks.
constexpr int64_t kSupervisor = 999999;

}  // namespace

static fs::path journal_path(const fs::path& folder, int64_t generation, int64_t rank) {
  char text[80];
  std::snprintf(text, sizeof text, "g%03lld-r%03lld.jsonl", static_cast<long long>(generation),
                static_cast<long long>(rank));
  return folder / text;
}

// The file is made anew: two runs in one generation would write into one another's.
static fs::path made_anew(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) throw base::errno_error(path.string() + ": cannot be begun", errno);
  ::close(fd);
  return path;
}

JournalWriter::JournalWriter(const fs::path& folder, int64_t generation, int64_t rank,
                             const std::string& run_identity)
    : file_(made_anew(journal_path(folder, generation, rank))) {
  append({{"type", "run"}, {"identity", run_identity}});
  base::sync_path(folder);
}

void JournalWriter::append(const Json& record) {
  file_.append(line_of(record));
}

void JournalWriter::commit(const JournalCommit& commit) {
  append(commit_record(commit));
  file_.sync();
}

void JournalWriter::started(const std::vector<std::string>& unit_ids) {
  if (!unit_ids.empty()) append({{"type", "started"}, {"units", unit_ids}});
}

void JournalWriter::quarantine(const JournalUnit& unit, const std::string& reason) {
  append(quarantine_record({unit, reason}));
  file_.sync();
}

void JournalWriter::closed() {
  append({{"type", "closed"}});
  file_.sync();
}

void mark_crash(const fs::path& folder, int64_t generation, int64_t rank) {
  base::AppendFile file(journal_path(folder, generation, kSupervisor));
  file.append(line_of({{"type", "crash"}, {"generation", generation}, {"rank", rank}}));
  file.sync();
}

std::vector<std::string> release_quarantine(const fs::path& folder,
                                            const std::vector<std::string>& unit_ids) {
  const auto journal = load_journal(folder);
  std::vector<std::string> ids = unit_ids;
  if (ids.empty()) {
    for (const auto& [id, unit] : journal.quarantined) ids.push_back(id);
  }
  for (const auto& id : ids) {
    if (journal.quarantined.contains(id)) continue;
    std::vector<std::string> known;
    for (const auto& [other, unit] : journal.quarantined) known.push_back(other);
    throw base::config_error(str("unit ", id, " is not in quarantine; there ",
                                 known.empty() ? "is none" : "are " + base::join(known, ", ")));
  }
  if (ids.empty()) return ids;
  base::AppendFile file(journal_path(folder, journal.last_generation, kSupervisor));
  file.append(line_of({{"type", "release"}, {"units", ids}}));
  file.sync();
  return ids;
}

static bool stands_before(const JournalUnit& a, const JournalUnit& b) {
  return std::tie(a.wave, a.index, a.id) < std::tie(b.wave, b.index, b.id);
}

std::vector<CommittedUnit> Journal::in_order() const {
  auto out = units;
  std::sort(out.begin(), out.end(), stands_before);
  return out;
}

std::vector<QuarantinedUnit> Journal::quarantined_in_order() const {
  std::vector<QuarantinedUnit> out;
  for (const auto& [id, unit] : quarantined) {
    if (!by_id.contains(id)) out.push_back(unit);
  }
  std::sort(out.begin(), out.end(), stands_before);
  return out;
}

Journal load_journal(const fs::path& folder) {
  const auto files = journal_files(folder);
  int64_t folded = -1;  // generations up to here are in a compact file
  for (const auto& file : files) {
    if (file.compact) folded = std::max(folded, file.generation);
  }
  Loader loader;
  for (const auto& file : files) {
    // A kill between writing the compact file and deleting the old ones leaves both.
    const bool old = file.compact ? file.generation < folded : file.generation <= folded;
    if (!old) loader.read(file);
  }
  return loader.take();
}

void drop_bad_segments(Journal& journal, const fs::path& segments_folder) {
  std::vector<bool> bad(journal.segments.size(), false);
  for (size_t i = 0; i < journal.segments.size(); ++i) {
    const auto fault = segment_fault(segments_folder, journal.segments[i]);
    if (!fault) continue;
    bad[i] = true;
    journal.warnings.push_back(*fault);
    const auto path = segments_folder / journal.segments[i].name;
    std::error_code ignored;  // it may be missing altogether
    fs::rename(path, path.string() + ".bad", ignored);
  }
  std::vector<CommittedUnit> kept;
  journal.by_id.clear();
  for (auto& unit : journal.units) {
    if (unit.segment >= 0 && bad[static_cast<size_t>(unit.segment)]) continue;
    journal.by_id[unit.id] = kept.size();
    kept.push_back(std::move(unit));
  }
  journal.units = std::move(kept);
}

void compact_journal(const fs::path& folder, const Journal& journal) {
  if (journal.last_generation < 0) return;
  char name[80];
  std::snprintf(name, sizeof name, "g%03lld-compact.jsonl",
                static_cast<long long>(journal.last_generation));
  const fs::path path = folder / name, temporary = folder / (std::string(name) + ".tmp");
  const auto old_files = journal_files(folder);
  std::error_code ignored;
  fs::remove(temporary, ignored);
  {
    base::AppendFile out(temporary);
    std::vector<JournalCommit> commits(journal.segments.size() + 1);  // the last: no segment
    for (size_t i = 0; i < journal.segments.size(); ++i) commits[i].segment = journal.segments[i];
    for (const auto& unit : journal.units) {
      const auto at = unit.segment < 0 ? commits.size() - 1 : static_cast<size_t>(unit.segment);
      commits[at].units.push_back(unit);
    }
    for (const auto& identity : journal.identities) {
      if (!identity.empty()) out.append(line_of({{"type", "run"}, {"identity", identity}}));
    }
    for (const auto& commit : commits) {
      if (!commit.units.empty()) out.append(line_of(commit_record(commit)));
    }
    for (const auto& [id, unit] : journal.quarantined) out.append(line_of(quarantine_record(unit)));
    if (!journal.crashes.empty()) {
      out.append(line_of({{"type", "crashes"}, {"units", Json(journal.crashes)}}));
    }
    out.sync();
  }
  fs::rename(temporary, path);
  base::sync_path(folder);
  for (const auto& file : old_files) {
    if (file.path != path && file.generation <= journal.last_generation) {
      fs::remove(file.path, ignored);
    }
  }
}

}  // namespace preimage::store
