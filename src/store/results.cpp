#include "preimage/store/results.hpp"

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <unordered_map>

#include "preimage/base/str.hpp"
#include "results_file.hpp"
#include "room_on_disk.hpp"

namespace preimage::store {
namespace {

using base::Json;
using base::str;

// Segments as they are needed: each is read once as long as all that are in use fit the cache, and
// is dropped when its last unit was taken.
class SegmentCache {
 public:
  SegmentCache(const ResultsInput& input, uint64_t limit) : input_(input), limit_(limit) {
    left_.assign(input.segments.size(), 0);
    for (const auto& unit : input.units) {
      if (unit.segment >= 0) ++left_.at(static_cast<size_t>(unit.segment));
    }
  }

  // The output of one unit, moved out.
  UnitOutput take(const CommittedUnit& unit) {
    if (unit.segment < 0) return {};
    const auto number = static_cast<size_t>(unit.segment);
    auto found = open_.find(number);
    if (found == open_.end()) found = load(number);
    order_.splice(order_.end(), order_, found->second.order);
    const auto at = found->second.units.find(unit.id);
    if (at == found->second.units.end()) {
      throw base::data_error(str((input_.segments_folder / input_.segments[number].name).string(),
                                 ": does not hold unit ", unit.id, ", which the journal says"));
    }
    UnitOutput out = std::move(at->second);
    if (--left_[number] == 0) drop(number);
    return out;
  }

 private:
  struct Open {
    std::unordered_map<std::string, UnitOutput> units;
    std::list<size_t>::iterator order;
  };
  using Map = std::map<size_t, Open>;

  Map::iterator load(size_t number) {
    const auto& ref = input_.segments[number];
    while (!order_.empty() && bytes_ + ref.bytes > limit_) drop(order_.front());
    auto segment = read_segment(input_.segments_folder, ref);
    Open open;
    for (auto& unit : segment.units) open.units[unit.id] = std::move(unit.output);
    open.order = order_.insert(order_.end(), number);
    bytes_ += ref.bytes;
    return open_.emplace(number, std::move(open)).first;
  }

  void drop(size_t number) {
    const auto found = open_.find(number);
    order_.erase(found->second.order);
    open_.erase(found);
    bytes_ -= input_.segments[number].bytes;
  }

  const ResultsInput& input_;
  uint64_t limit_;
  uint64_t bytes_ = 0;
  std::vector<int64_t> left_;  // units still to be taken, for each segment
  Map open_;
  std::list<size_t> order_;  // least recently used first
};

// What has to be known of all segments before the first row is written.
struct Survey {
  std::map<std::string, std::vector<int64_t>> shapes;  // of each tensor, items first
  Json computed_by = Json::array();                    // distinct headers with their units
};

void widen(std::vector<int64_t>& shape, const std::vector<int64_t>& item) {
  ++shape[0];
  for (size_t i = 0; i < item.size(); ++i) shape[i + 1] = std::max(shape[i + 1], item[i]);
}

Survey survey_of(const Schemas& schemas, const ResultsInput& input, const std::string& identity) {
  Survey out;
  for (const auto& schema : schemas.tensors) out.shapes[schema.name].assign(schema.axes.size(), 0);
  std::vector<std::unordered_map<std::string, bool>> wanted(input.segments.size());
  for (const auto& unit : input.units) {
    if (unit.segment >= 0) wanted.at(static_cast<size_t>(unit.segment))[unit.id] = true;
  }
  std::map<std::vector<std::string>, int64_t> places;
  for (size_t s = 0; s < input.segments.size(); ++s) {
    if (wanted[s].empty()) continue;
    const auto sizes = read_segment_sizes(input.segments_folder, input.segments[s]);
    if (!identity.empty() && sizes.header.run_identity != identity) {
      throw base::data_error(str((input.segments_folder / input.segments[s].name).string(),
                                 ": belongs to another run (identity ",
                                 sizes.header.run_identity.substr(0, 12), ", this one is ",
                                 identity.substr(0, 12), "); remove it and --resume"));
    }
    places[{sizes.header.binary, sizes.header.device, sizes.header.host}] +=
        static_cast<int64_t>(wanted[s].size());
    for (const auto& [name, items] : sizes.tensors) {
      const auto shape = out.shapes.find(name);
      for (size_t i = 0; i < items.unit.size(); ++i) {
        const auto& id = sizes.unit_ids.at(static_cast<size_t>(items.unit[i]));
        if (shape != out.shapes.end() && wanted[s].contains(id))
          widen(shape->second, items.shapes[i]);
      }
    }
  }
  for (const auto& [name, items] : input.finish.tensors) {
    const auto shape = out.shapes.find(name);
    base::check(shape != out.shapes.end(), "the schemas name tensor " + name);
    for (const auto& item : items) {
      base::check(item.shape.size() + 1 == shape->second.size(), "axes of " + name);
      widen(shape->second, item.shape);
    }
  }
  for (const auto& [place, units] : places) {
    out.computed_by.push_back(
        {{"binary", place[0]}, {"device", place[1]}, {"host", place[2]}, {"units", units}});
  }
  return out;
}

// True when units were computed by different programs or kinds of device: bitwise equality with
// another run is then not promised.
bool is_mixed(const Json& computed_by) {
  return std::any_of(computed_by.begin(), computed_by.end(), [&](const Json& place) {
    return place["binary"] != computed_by[0]["binary"] ||
           place["device"] != computed_by[0]["device"];
  });
}

class Assembly {
 public:
  Assembly(hid_t file, const Schemas& schemas, const ResultsInput& input,
           const std::string& identity)
      : input_(input),
        survey_(survey_of(schemas, input, identity)),
        units_(file, "units", results_units_schema(), true),
        quarantine_(file, "quarantine", quarantine_schema(), true) {
    for (const auto& schema : schemas.tables) {
      if (schema.intermediate) {
        intermediate_.insert(schema.name);
        continue;
      }
      tables_.emplace(std::piecewise_construct, std::forward_as_tuple(schema.name),
                      std::forward_as_tuple(file, schema.name, schema, true));
    }
    for (const auto& schema : schemas.tensors) {
      tensors_.emplace(std::piecewise_construct, std::forward_as_tuple(schema.name),
                       std::forward_as_tuple(file, schema, survey_.shapes.at(schema.name)));
    }
  }

  void write(uint64_t cache_bytes) {
    SegmentCache cache(input_, cache_bytes);
    int64_t number = 0;
    for (const auto& unit : input_.units) {
      Json scalars = unit.scalars, measured = nullptr;
      if (scalars.is_object() && scalars.contains("seconds")) {
        measured = scalars["seconds"];
        scalars.erase("seconds");
      }
      units_.append({unit.id, unit.stage, base::canonical(unit.key), unit.wave, unit.index,
                     base::canonical(scalars),
                     measured.is_null() ? std::string() : base::canonical(measured)});
      add(cache.take(unit), number++);
    }
    add(input_.finish, -1);
    for (const auto& unit : input_.quarantined) {
      quarantine_.append(
          {unit.id, unit.stage, base::canonical(unit.key), unit.wave, unit.index, unit.reason});
    }
    units_.finish();
    quarantine_.finish();
    for (auto& [name, table] : tables_) table.finish();
    for (auto& [name, tensor] : tensors_) tensor.finish();
  }

  const Survey& survey() const { return survey_; }

 private:
  void add(const UnitOutput& output, int64_t unit) {
    for (const auto& [name, rows] : output.rows) {
      if (intermediate_.count(name)) continue;
      const auto table = tables_.find(name);
      if (table == tables_.end()) base::check(false, "the schemas name table " + name);
      for (const auto& row : rows) table->second.append(row);
    }
    for (const auto& [name, items] : output.tensors) {
      const auto tensor = tensors_.find(name);
      if (tensor == tensors_.end()) base::check(false, "the schemas name tensor " + name);
      for (const auto& item : items) tensor->second.append({unit, 0, &item}, item.shape);
    }
  }

  const ResultsInput& input_;
  Survey survey_;
  TableWriter units_, quarantine_;
  std::map<std::string, TableWriter> tables_;
  std::set<std::string> intermediate_;
  std::map<std::string, IndexedTensorWriter> tensors_;
};

}  // namespace

void write_results(const std::filesystem::path& path, const ResultsOptions& options,
                   const Schemas& schemas, const ResultsInput& input) {
  uint64_t needed = 1 << 20;
  for (const auto& segment : input.segments) needed += segment.bytes;
  require_room(path.has_parent_path() ? path.parent_path() : ".", needed);
  try {
    ResultsFile file(path);
    h5::set_attribute(file.get(), "format", kResultsFormat);
    {
      Assembly assembly(file.get(), schemas, input, options.run_identity);
      assembly.write(options.cache_bytes);
      Json provenance = options.provenance;
      provenance["computed_by"] = assembly.survey().computed_by;
      provenance["mixed_hardware_or_binary"] = is_mixed(assembly.survey().computed_by);
      write_json_group(file.get(), "config", options.config);
      write_json_group(file.get(), "provenance", provenance);
    }
    if (options.before_publishing) options.before_publishing();
    file.publish();
  } catch (const base::Error& error) {
    if (error.code() != base::ExitCode::io) throw;
    throw base::io_error(str(error.what(), " (", path.string(), " needs about ", needed, " bytes, ",
                             base::human_bytes(needed), ")"));
  }
}

}  // namespace preimage::store
