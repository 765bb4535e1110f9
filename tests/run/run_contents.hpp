// What a run's folder holds, in one comparable text: journal and segments, measured columns left
// out.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "preimage/base/str.hpp"
#include "preimage/store/journal.hpp"
#include "preimage/store/segment.hpp"

namespace preimage::tests {

inline std::string shown(const store::Row& row, const store::TableSchema& schema) {
  std::string out;
  for (size_t c = 0; c < row.size(); ++c) {
    if (schema.columns[c].measured) continue;
    std::visit([&](const auto& cell) { out += base::str(cell, "|"); }, row[c]);
  }
  return out;
}

// Unit id -> everything that it committed.
inline std::map<std::string, std::string> contents(const std::filesystem::path& out) {
  const auto journal = store::load_journal(out / "journal");
  std::map<std::string, std::string> all;
  for (const auto& unit : journal.units) {
    all[unit.id] = base::str(unit.wave, " ", unit.index, " ", unit.key.dump(), unit.scalars.dump());
  }
  for (const auto& ref : journal.segments) {
    const auto segment = store::read_segment(out / "segments", ref);
    for (const auto& unit : segment.units) {
      auto& text = all[unit.id];
      for (const auto& table : segment.schemas.tables) {
        const auto found = unit.output.rows.find(table.name);
        if (found == unit.output.rows.end()) continue;
        for (const auto& row : found->second)
          text += base::str("\n", table.name, ": ", shown(row, table));
      }
      for (const auto& [name, items] : unit.output.tensors) {
        for (const auto& item : items) {
          text += base::str("\n", name, ":");
          for (const float value : std::get<std::vector<float>>(item.values)) {
            text += base::str(" ", base::shortest(value));
          }
        }
      }
    }
  }
  return all;
}

}  // namespace preimage::tests
