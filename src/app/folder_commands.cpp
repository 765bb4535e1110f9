#include <unistd.h>

#include <iostream>
#include <memory>

#include "commands.hpp"
#include "inspect.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/output.hpp"
#include "preimage/base/str.hpp"
#include "preimage/run/lock.hpp"
#include "preimage/store/inspect.hpp"
#include "preimage/store/journal.hpp"

namespace preimage::app {
namespace {

namespace fs = std::filesystem;
using base::str;

struct MergeArguments {
  std::vector<fs::path> paths;
  fs::path out;
};

// HDF5 goes back and forth in its file, so that a pipe gets it when it is whole.
void merge_into_stream(const std::vector<fs::path>& files, const fs::path& target) {
  const fs::path whole = fs::temp_directory_path() / str("preimage-merge-", ::getpid(), ".h5");
  store::merge_results(files, whole);
  const auto bytes = base::read_file(whole);
  fs::remove(whole);
  base::write_output(target.string(), bytes);
}

void merge(const MergeArguments& arguments) {
  std::vector<fs::path> files;
  for (const auto& path : arguments.paths) files.push_back(results_of(path));
  const auto target = base::link_target(arguments.out);
  if (base::is_stream(target)) {
    merge_into_stream(files, target);
  } else {
    if (fs::exists(target))
      throw base::config_error(arguments.out.string() +
                               ": exists; remove it or choose another --out");
    store::merge_results(files, target);
  }
  std::cout << arguments.out.string() << ": " << files.size() << " files\n";
}

struct ReleaseArguments {
  fs::path folder;
  std::vector<std::string> units;
};

void release(const ReleaseArguments& arguments) {
  if (!fs::is_directory(arguments.folder / "journal"))
    throw base::data_error(arguments.folder.string() +
                           ": no run here (no journal); expected the folder that --out named");
  const run::FolderLock lock(arguments.folder);  // nobody runs it meanwhile
  const auto units = store::release_quarantine(arguments.folder / "journal", arguments.units);
  for (const auto& id : units) std::cout << id << ": released\n";
  std::cout << units.size() << " units get another chance"
            << (units.empty() ? "" : "; go on with --resume") << "\n";
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

  auto released = std::make_shared<ReleaseArguments>();
  auto* release_units =
      app.add_subcommand("release", "give units in quarantine another chance at the next --resume");
  release_units->add_option("dir", released->folder, "folder of the run")->required();
  release_units->add_option("units", released->units, "their ids; without: all of them");
  release_units->callback([released] { release(*released); });

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
