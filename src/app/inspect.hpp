// What a run's folder or a results file holds, for a person to read.
#pragma once

#include <filesystem>
#include <string>

namespace preimage::app {

struct InspectArguments {
  std::filesystem::path path;
  std::string table;  // this one alone
  int64_t rows = 0;   // of each table; 0: 20, or all of --table
};

void print_status(const std::filesystem::path& folder);
void inspect(const InspectArguments& arguments);

struct ExportArguments {
  std::filesystem::path path, out;
  bool csv = false, jsonl = false;
};
// One file for each table; '/' in its name becomes '.'.
void export_tables(const ExportArguments& arguments);

}  // namespace preimage::app
