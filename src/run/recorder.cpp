#include "preimage/run/recorder.hpp"

#include <algorithm>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/run/manifest.hpp"

namespace preimage::run {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str;

// Of the segments that are kept for reading, as files.
constexpr uint64_t kReadBytes = 64ull << 20;

Json to_json(const std::string& id, const Committed& unit) {
  return {id, unit.scalars, unit.segment.name, unit.segment.crc, unit.segment.bytes};
}

Committed from_json(const Json& json) {
  return {json[1], {json[2], json[3], json[4]}};
}

// Files that a kill left between writing and the journal: nobody will ever name them.
void remove_orphans(const fs::path& folder, const store::Journal& journal) {
  std::set<std::string> named;
  for (const auto& segment : journal.segments) named.insert(segment.name);
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto name = entry.path().filename().string();
    if (named.count(name) || entry.path().extension() == ".bad") continue;
    std::error_code ignored;
    fs::remove(entry.path(), ignored);
  }
}

}  // namespace

Recorder::Recorder(const cluster::Communicator& comm, const RecorderOptions& options)
    : comm_(comm), options_(options) {
  load();
  cluster::together(comm_, [&] {
    options_.claim.require_held();
    journal_ = std::make_unique<store::JournalWriter>(options_.out / "journal", generation_,
                                                      comm_.rank(), options_.run_identity);
  });
}

Recorder::~Recorder() = default;

// A journal of another run, brought here by whatever: its results are not this run's.
void Recorder::require_own(const store::Journal& journal, const fs::path& folder) const {
  for (const auto& identity : journal.identities) {
    if (identity.empty() || identity == options_.run_identity) continue;  // "": torn by a kill
    throw base::config_error(str(folder.string(), ": holds results of another run (identity ",
                                 identity.substr(0, 12), ", this one is ",
                                 options_.run_identity.substr(0, 12),
                                 "); remove what does not belong here or choose another --out"));
  }
}

void Recorder::load() {
  const auto text = cluster::on_root(comm_, [&] {
    const fs::path folder = options_.out / "journal";
    const fs::path segments = options_.out / "segments";
    std::error_code error;
    fs::create_directories(folder, error);
    fs::create_directories(segments, error);
    if (error) throw base::io_error(segments.string() + ": cannot be created: " + error.message());
    auto journal = store::load_journal(folder);
    require_own(journal, folder);
    options_.claim.require_held();
    store::drop_bad_segments(journal, segments);
    for (const auto& warning : journal.warnings) options_.log.warn(warning);
    store::compact_journal(folder, journal);
    // Above the state's also where somebody deleted the journal: a state of a later generation is
    // another start's and would not be replaced.
    const auto state = read_state(options_.out);
    if (!state.status.empty())
      journal.last_generation = std::max(journal.last_generation, state.generation);
    remove_orphans(segments, journal);
    Json units = Json::array();
    for (const auto& unit : journal.units) {
      const auto segment = unit.segment < 0 ? store::SegmentRef{}
                                            : journal.segments[static_cast<size_t>(unit.segment)];
      units.push_back(to_json(unit.id, {unit.scalars, segment}));
    }
    Json quarantined = Json::array();
    for (const auto& [id, reason] : journal.quarantined) quarantined.push_back(id);
    Json suspects = Json::array();
    for (const auto& [id, crashes] : journal.crashes) {
      (crashes >= options_.crashes_to_quarantine ? quarantined : suspects).push_back(id);
    }
    return Json{{"generation", journal.last_generation + 1},
                {"units", std::move(units)},
                {"quarantined", std::move(quarantined)},
                {"suspects", std::move(suspects)}}
        .dump();
  });
  const Json loaded = Json::parse(text);
  generation_ = loaded["generation"];
  for (const auto& unit : loaded["units"]) committed_.emplace(unit[0], from_json(unit));
  for (const std::string id : loaded["quarantined"]) {
    if (!committed_.count(id)) quarantined_.insert(id);
  }
  for (const std::string id : loaded["suspects"]) suspects_.insert(id);
}

void Recorder::set_schemas(const store::Schemas& schemas) {
  flush();
  schemas_ = schemas;
}

const Committed* Recorder::find(const std::string& unit_id) const {
  const auto found = committed_.find(unit_id);
  return found == committed_.end() ? nullptr : &found->second;
}

void Recorder::set_aside(const Unit& unit, int64_t wave, int64_t index) {
  if (!comm_.root() || !set_aside_.insert(unit.id).second) return;
  options_.claim.require_held();
  journal_->quarantine({unit.id, wave, index, unit.stage, unit.key, nullptr},
                       str("ended its rank ", options_.crashes_to_quarantine, " times"));
  options_.log.warn(str("unit ", unit.id, " (", unit.stage, " ", base::canonical(unit.key),
                        ") is in quarantine: it ended its rank ", options_.crashes_to_quarantine,
                        " times; `preimage release` gives it another chance"));
}

void Recorder::describe_start(const std::string& key, const base::Json& value) {
  if (!comm_.root()) return;
  options_.claim.require_held();
  add_to_start(options_.out, key, value);
}

void Recorder::started(const std::vector<Unit>& units) {
  std::vector<std::string> ids;
  for (const auto& unit : units) ids.push_back(unit.id);
  if (!ids.empty()) journal_->started(ids);
}

void Recorder::commit(const Unit& unit, int64_t wave, int64_t index, store::UnitOutput output) {
  if (buffer_lines_.empty()) oldest_s_ = base::monotonic_seconds();
  buffer_lines_.push_back({unit.id, wave, index, unit.stage, unit.key, output.scalars});
  buffer_.push_back({unit.id, wave, index, std::move(output)});
  if (static_cast<int64_t>(buffer_lines_.size()) >= options_.commit_units) flush();
  flush_if_due();
}

void Recorder::flush_if_due() {
  if (buffer_lines_.empty()) return;
  if (base::monotonic_seconds() - oldest_s_ >= options_.commit_interval_s) flush();
}

void Recorder::flush() {
  if (buffer_lines_.empty()) return;
  // The segment holds every unit that the journal's line names, those without rows among them.
  const bool has_data = std::any_of(buffer_.begin(), buffer_.end(), [](const auto& unit) {
    return !unit.output.rows.empty() || !unit.output.tensors.empty();
  });
  options_.claim.require_held();
  store::JournalCommit commit;
  commit.units = buffer_lines_;
  if (has_data) {
    const store::SegmentHeader header{options_.run_identity, options_.binary, options_.host,
                                      options_.device,       generation_,     comm_.rank()};
    const auto name = store::segment_name(generation_, comm_.rank(), segments_written_);
    commit.segment =
        store::write_segment(options_.out / "segments" / name, header, buffer_, schemas_);
  }
  options_.claim.require_held();
  journal_->commit(commit);
  ++segments_written_;
  for (const auto& line : buffer_lines_)
    unshared_.push_back({line.id, {line.scalars, commit.segment}});
  buffer_.clear();
  buffer_lines_.clear();
}

void Recorder::exchange() {
  base::check(buffer_lines_.empty(), "results are flushed before they are exchanged");
  Json mine = Json::array();
  for (const auto& [id, unit] : unshared_) mine.push_back(to_json(id, unit));
  unshared_.clear();
  // Through the same text as the journal's, one rank included: a resumed run must see the same
  // values.
  for (const auto& text : comm_.all_gather(base::canonical(mine))) {
    for (const auto& unit : Json::parse(text))
      committed_.insert_or_assign(unit[0], from_json(unit));
  }
}

// Units of a wave lie side by side in the segments of their ranks.
const Recorder::SegmentOutputs& Recorder::segment_of(const store::SegmentRef& ref) const {
  const auto found = std::find_if(read_.begin(), read_.end(),
                                  [&](const auto& entry) { return entry.first.name == ref.name; });
  if (found != read_.end()) {
    read_.splice(read_.begin(), read_, found);
    return read_.front().second;
  }
  auto segment = store::read_segment(options_.out / "segments", ref);
  SegmentOutputs outputs;
  for (auto& entry : segment.units) outputs.emplace(entry.id, std::move(entry.output));
  read_.emplace_front(ref, std::move(outputs));
  uint64_t bytes = 0;
  for (auto entry = read_.begin(); entry != read_.end();) {
    bytes += entry->first.bytes;
    entry = bytes > kReadBytes && entry != read_.begin() ? read_.erase(entry) : std::next(entry);
  }
  return read_.front().second;
}

store::UnitOutput Recorder::read(const std::string& unit_id) const {
  const auto* unit = find(unit_id);
  base::check(unit != nullptr, "only a committed unit is read");
  store::UnitOutput out;
  if (!unit->segment.name.empty()) out = segment_of(unit->segment).at(unit_id);
  out.scalars = unit->scalars;
  return out;
}

void Recorder::add_final(store::UnitOutput output) {
  for (auto& [name, rows] : output.rows) {
    std::move(rows.begin(), rows.end(), std::back_inserter(final_.rows[name]));
  }
  for (auto& [name, items] : output.tensors) {
    std::move(items.begin(), items.end(), std::back_inserter(final_.tensors[name]));
  }
}

void Recorder::merge(const MergeOptions& options) {
  cluster::on_root(comm_, [&] {
    // From the journal rather than from memory: what is merged is what is on disk.
    const auto journal = store::load_journal(options_.out / "journal");
    const store::ResultsInput input{.segments_folder = options_.out / "segments",
                                    .segments = journal.segments,
                                    .units = journal.in_order(),
                                    .finish = final_,
                                    .quarantined = journal.quarantined_in_order()};
    const auto manifest = options_.out / "run.json";
    Json provenance = {{"identity", options_.run_identity}, {"binary", options_.binary}};
    if (fs::exists(manifest)) {
      provenance = base::read_json(manifest, {.max_bytes = 256ull << 20});
      provenance.erase("config");
    }
    store::write_results(options_.out / "results.h5",
                         {.config = options.config,
                          .provenance = provenance,
                          .run_identity = options_.run_identity,
                          .before_publishing = [&] { options_.claim.require_held(); }},
                         options.schemas, input);
    return std::string();
  });
}

void Recorder::close() {
  journal_->closed();
}

}  // namespace preimage::run
