#include "preimage/run/sweep.hpp"

#include <algorithm>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/recorder.hpp"
#include "sweep_search.hpp"

namespace preimage::run {
namespace {

using base::Json;
using base::str;

store::Type type_of(const std::vector<SweepPart>& parts, const std::string& field) {
  const auto all = [&](auto&& is) {
    return std::all_of(parts.begin(), parts.end(),
                       [&](const auto& part) { return is(part.context->sweep()[field]); });
  };
  if (all([](const Json& v) { return v.is_boolean(); })) return store::Type::boolean;
  if (all([](const Json& v) { return v.is_number_integer(); })) return store::Type::i64;
  if (all([](const Json& v) { return v.is_number(); })) return store::Type::f64;
  return store::Type::text;
}

store::Cell cell_of(const Json& value, store::Type type) {
  switch (type) {
    case store::Type::boolean:
      return value.get<bool>();
    case store::Type::i64:
      return value.get<int64_t>();
    case store::Type::f64:
    case store::Type::f32:
      return value.get<double>();
    case store::Type::text:
      break;
  }
  return value.is_string() ? value.get<std::string>() : base::canonical(value);
}

Unit outer_unit(const std::string& method, const Unit& inner, const Json& sweep, int64_t group) {
  Json key = inner.key.is_object() ? inner.key : Json{{"key", inner.key}};
  key["sweep"] = sweep;
  auto unit = make_unit(method, inner.stage, key);
  unit.cost = inner.cost;
  unit.group = group;
  return unit;
}

}  // namespace

std::vector<Json> expand_sweep(const Json& sweep, const std::string& place) {
  if (!sweep.is_object()) {
    throw base::config_error(place + ": \"sweep\" is " + sweep.dump() +
                             ", expected an object like {\"run.seed\": [0, 1]}");
  }
  double count = 1;
  for (const auto& [field, values] : sweep.items()) {
    const auto what = str(place, ": \"sweep\": \"", field, "\" is ", values.dump());
    if (!values.is_array() || values.empty())
      throw base::config_error(what + ", expected a list of one or more values");
    for (size_t i = 0; i < values.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (values[i] == values[j])
          throw base::config_error(
              str(what, ": found ", values[i].dump(), " twice, expected different values"));
      }
    }
    count *= static_cast<double>(values.size());
  }
  if (count > static_cast<double>(kMostCombinations))
    throw base::config_error(str(place, ": \"sweep\" has ", count, " combinations, at most ",
                                 kMostCombinations, " fit one run; divide it into several jobs"));
  std::vector<Json> out = {Json::object()};
  for (const auto& [field, values] : sweep.items()) {
    std::vector<Json> longer;
    for (const auto& combination : out) {
      for (const auto& value : values) {
        longer.push_back(combination);
        longer.back()[field] = value;
      }
    }
    out = std::move(longer);
  }
  return out;
}

// One part's view of the common work. Units are dealt in the order of the parts (Unit::group), so
// what is taken beyond a part's last unit belongs to later parts and waits for them in `backlog`.
class SweepSearch::PartWork : public Work {
 public:
  using Backlog = std::map<size_t, std::vector<Unit>>;
  PartWork(SweepSearch& sweep, Work& work, Backlog& backlog, size_t part)
      : sweep_(sweep), work_(work), backlog_(backlog), part_(part) {}

  std::vector<Unit> take(int64_t count) override {
    if (work_.stopping()) return {};
    auto& waiting = backlog_[part_];
    if (waiting.empty()) {
      for (const auto& unit : work_.take(count))
        backlog_[sweep_.origins_.at(unit.id).part].push_back(unit);
    }
    std::vector<Unit> out;
    const auto n = std::min(static_cast<size_t>(std::max<int64_t>(count, 0)), waiting.size());
    for (size_t i = 0; i < n; ++i) {
      const auto& inner = sweep_.origins_.at(waiting[i].id).inner;
      outer_.emplace(inner.id, waiting[i]);
      out.push_back(inner);
    }
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(n));
    return out;
  }

  void commit(const Unit& unit, store::UnitOutput output) override {
    const auto found = outer_.find(unit.id);
    base::check(found != outer_.end(), "a worker commits what it took");
    sweep_.add_columns(part_, output);
    work_.commit(found->second, std::move(output));
  }

  bool stopping() const override { return work_.stopping(); }

 private:
  SweepSearch& sweep_;
  Work& work_;
  Backlog& backlog_;
  size_t part_;
  std::map<std::string, Unit> outer_;  // inner id -> the unit as the run knows it
};

SweepSearch::SweepSearch(std::vector<SweepPart> parts)
    : parts_(std::move(parts)), ended_(parts_.size()), active_(parts_.size()) {
  base::check(!parts_.empty(), "a sweep has a combination");
  for (const auto& [field, value] : parts_.front().context->sweep().items()) {
    columns_.push_back(
        {.name = field, .type = type_of(parts_, field), .description = "swept field of the job"});
  }
}

std::vector<Unit> SweepSearch::ask(int64_t wave) {
  std::vector<Unit> out;
  origins_.clear();
  for (size_t p = 0; p < parts_.size(); ++p) {
    active_[p] = false;
    if (ended_[p]) continue;
    const auto units = parts_[p].search->ask(wave);
    ended_[p] = units.empty();
    active_[p] = !units.empty();
    for (const auto& inner : units) {
      base::check(inner.group == 0, "groups of units belong to the sweep");
      out.push_back(outer_unit(parts_[p].context->method(), inner, parts_[p].context->sweep(),
                               static_cast<int64_t>(p)));
      origins_.emplace(out.back().id, Origin{p, inner});
    }
  }
  return out;
}

void SweepSearch::prepare(int64_t wave) {
  for (size_t p = 0; p < parts_.size(); ++p) {
    if (active_[p]) parts_[p].search->prepare(wave);
  }
}

void SweepSearch::evaluate(Work& work) {
  PartWork::Backlog backlog;
  for (size_t p = 0; p < parts_.size(); ++p) {
    if (!active_[p]) continue;
    PartWork part(*this, work, backlog, p);
    parts_[p].search->evaluate(part);
  }
}

void SweepSearch::tell(const std::vector<Told>& results) {
  std::vector<std::vector<Told>> split(parts_.size());
  for (const auto& told : results) {
    const auto& origin = origins_.at(told.unit.id);
    split[origin.part].push_back(
        {origin.inner, told.scalars, told.quarantined, [this, read = told.output] {
           auto output = read();
           drop_columns(output);
           return output;
         }});
  }
  for (size_t p = 0; p < parts_.size(); ++p) {
    if (active_[p]) parts_[p].search->tell(split[p]);
  }
}

store::UnitOutput SweepSearch::finish() {
  store::UnitOutput out;
  for (size_t p = 0; p < parts_.size(); ++p) {
    auto output = parts_[p].search->finish();
    add_columns(p, output);
    for (auto& [name, rows] : output.rows) {
      std::move(rows.begin(), rows.end(), std::back_inserter(out.rows[name]));
    }
    for (auto& [name, items] : output.tensors) {
      std::move(items.begin(), items.end(), std::back_inserter(out.tensors[name]));
    }
  }
  return out;
}

store::Schemas SweepSearch::schemas() const {
  auto out = parts_.front().search->schemas();
  for (auto& table : out.tables) {
    table.columns.insert(table.columns.end(), columns_.begin(), columns_.end());
  }
  return out;
}

void SweepSearch::add_columns(size_t part, store::UnitOutput& output) const {
  const auto& sweep = parts_[part].context->sweep();
  for (auto& [name, rows] : output.rows) {
    for (auto& row : rows) {
      for (const auto& column : columns_) row.push_back(cell_of(sweep[column.name], column.type));
    }
  }
}

// A search sees its rows as it gave them.
void SweepSearch::drop_columns(store::UnitOutput& output) const {
  for (auto& [name, rows] : output.rows) {
    for (auto& row : rows) row.resize(row.size() - columns_.size());
  }
}

void sweep_loop(const std::vector<SweepPart>& parts) {
  SweepSearch whole(parts);
  run_to_end(*parts.front().context, whole);
}

}  // namespace preimage::run
