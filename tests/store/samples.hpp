// Outputs to store.
#pragma once

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "folder.hpp"
#include "preimage/base/file.hpp"
#include "preimage/store/schema.hpp"

namespace preimage::store {

using tests::Folder;

inline void put(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// One table with a column of each type, and a tensor of each type.
inline Schemas sample_schemas() {
  return {.tables = {{.name = "toy/pairs",
                      .description = "one row for each pair \\ backslash",
                      .columns = {{"k", Type::i64, "slots", "size of the prompt"},
                                  {"score", Type::f64, "nat"},
                                  {"small", Type::f32},
                                  {"found", Type::boolean},
                                  {"text", Type::text, "", "what was decoded"},
                                  {"seconds", Type::f64, "s", "", true}},
                      .version = 3},
                     {.name = "toy/empty", .columns = {{"x", Type::i64}}}},
          .tensors = {{.name = "toy/prompts",
                       .description = "soft prompts",
                       .unit = "1",
                       .axes = {"pair", "slot", "d"}},
                      {.name = "toy/ids", .axes = {"pair", "token"}, .type = Type::i64},
                      {.name = "toy/loss", .axes = {"pair"}, .type = Type::f64}}};
}

// What unit number `u` commits; it depends on u alone.
inline UnitOutput sample_output(int64_t u) {
  UnitOutput out;
  out.scalars = {{"best", 0.5 * static_cast<double>(u)}};
  for (int64_t r = 0; r < u % 3; ++r) {
    const auto text = "unit " + std::to_string(u) + std::string("\0\\\xff\xed\xa0\x80 \xc3\xa9", 9);
    out.rows["toy/pairs"].push_back({u, 1.0 / static_cast<double>(u + r + 1),
                                     static_cast<double>(0.1f), u % 2 == 0, text, 0.25});
  }
  const int64_t slots = 1 + u % 3;
  Tensor prompt{{slots, 2}, std::vector<float>()};
  for (int64_t i = 0; i < 2 * slots; ++i) {
    std::get<std::vector<float>>(prompt.values).push_back(static_cast<float>(10 * u + i));
  }
  out.tensors["toy/prompts"].push_back(prompt);
  if (u % 2 == 0) out.tensors["toy/ids"].push_back({{1}, std::vector<int64_t>{u}});
  out.tensors["toy/loss"].push_back({{}, std::vector<double>{-static_cast<double>(u)}});
  return out;
}

}  // namespace preimage::store
