#include <iostream>
#include <memory>

#include "commands.hpp"
#include "inspect.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/store/inspect.hpp"

namespace preimage::app {
namespace {

namespace fs = std::filesystem;

struct MergeArguments {
  std::vector<fs::path> paths;
  fs::path out;
};

void merge(const MergeArguments& arguments) {
  std::vector<fs::path> files;
  for (const auto& path : arguments.paths) files.push_back(results_of(path));
  if (fs::exists(arguments.out))
    throw base::config_error(arguments.out.string() +
                             ": exists; remove it or choose another --out");
  store::merge_results(files, arguments.out);
  std::cout << arguments.out.string() << ": " << files.size() << " files\n";
}

}  // namespace

void add_folder_commands(CLI::App& app, Program&) {
  auto inspected = std::make_shared<InspectArguments>();
  auto* status = app.add_subcommand("status", "how a run stands");
  status->add_option("dir", inspected->path, "folder of the run")->required();
  status->callback([inspected] { print_status(inspected->path); });

  auto* show = app.add_subcommand("inspect", "what a run's folder or an HDF5 file holds");
  show->add_option("path", inspected->path, "folder of a run, or a file")->required();
  show->add_option("--table", inspected->table, "this table alone, all rows");
  show->add_option("--rows", inspected->rows, "rows of each table")->check(CLI::Range(1, 1 << 30));
  show->callback([inspected] { inspect(*inspected); });

  auto merged = std::make_shared<MergeArguments>();
  auto* join =
      app.add_subcommand("merge", "several results into one file; tables get a column \"run\"");
  join->add_option("paths", merged->paths, "folders of runs, or results files")->required();
  join->add_option("--out", merged->out, "file to write")->required();
  join->callback([merged] { merge(*merged); });

  auto exported = std::make_shared<ExportArguments>();
  auto* tables = app.add_subcommand("export", "tables as CSV or JSON Lines, one file for each");
  tables->add_option("path", exported->path, "folder of a run, or a results file")->required();
  tables->add_option("--out", exported->out, "folder to write to")->required();
  tables->add_flag("--csv", exported->csv, "CSV with a head line (RFC 4180)");
  tables->add_flag("--jsonl", exported->jsonl, "JSON Lines");
  tables->callback([exported] { export_tables(*exported); });
}

}  // namespace preimage::app
