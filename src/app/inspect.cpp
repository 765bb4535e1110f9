#include "inspect.hpp"

#include <algorithm>
#include <iostream>
#include <optional>

#include "commands.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/terminal.hpp"
#include "preimage/run/lock.hpp"
#include "preimage/run/manifest.hpp"
#include "preimage/store/inspect.hpp"
#include "preimage/store/journal.hpp"
#include "show.hpp"

namespace preimage::app {
namespace {

namespace fs = std::filesystem;
using base::str;
using base::visible_text;

// A table above this many rows is only named, unless it is asked for.
constexpr int64_t kShownTable = 2000, kShownRows = 20;
constexpr size_t kShownBlocks = 2;

void line(const std::string& name, const std::string& text) {
  std::cout << "  " << visible_text(name)
            << std::string(name.size() < 12 ? 12 - name.size() : 1, ' ') << visible_text(text)
            << "\n";
}

std::string sizes(const std::vector<int64_t>& shape) {
  std::string out;
  for (const int64_t size : shape) out += (out.empty() ? "" : " x ") + std::to_string(size);
  return out.empty() ? "one number" : out;
}

// Reading stops early by an exception of our own.
struct Enough {};

std::vector<store::Row> first_rows(const fs::path& file, const std::string& table, int64_t count) {
  std::vector<store::Row> rows;
  if (count == 0) return rows;
  try {
    store::read_table(file, table, [&](const store::Row& row) {
      rows.push_back(row);
      if (static_cast<int64_t>(rows.size()) == count) throw Enough{};
    });
  } catch (const Enough&) {
  }
  return rows;
}

void print_table(const fs::path& file, const store::TableInfo& table, int64_t limit,
                 size_t blocks = SIZE_MAX) {
  const int64_t count = std::min(limit, table.rows);
  std::cout << "\n"
            << visible_text(table.name) << ": " << table.rows << " rows"
            << (table.schema.description.empty() ? ""
                                                 : ", " + visible_text(table.schema.description))
            << "\n";
  std::cout << table_text(table.schema.columns, first_rows(file, table.name, count),
                          {.width = terminal_width(), .blocks = blocks});
  if (count < table.rows)
    std::cout << "  ... " << table.rows - count << " more rows (--table "
              << visible_text(table.name) << ")\n";
}

void print_contents(const fs::path& file, const store::FileInfo& info) {
  std::cout << visible_text(file.string()) << ": "
            << (info.format.empty() ? "an HDF5 file of others" : visible_text(info.format)) << "\n";
  for (const auto& [name, value] : info.attributes.items()) {
    if (name != "format") line(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  for (const auto& table : info.tables)
    std::cout << "  table   " << visible_text(table.name) << "  " << table.rows << " rows, "
              << table.schema.columns.size() << " columns\n";
  for (const auto& tensor : info.tensors) {
    std::cout << "  tensor  " << visible_text(tensor.name) << "  " << sizes(tensor.shape)
              << (tensor.schema.description.empty()
                      ? ""
                      : ", " + visible_text(tensor.schema.description))
              << "\n";
  }
  for (const auto& name : info.others) std::cout << "  other   " << visible_text(name) << "\n";
}

const store::TableInfo& find_table(const fs::path& file, const store::FileInfo& info,
                                   const std::string& name) {
  std::vector<std::string> names;
  for (const auto& table : info.tables) {
    if (table.name == name) return table;
    names.push_back(table.name);
  }
  throw base::config_error(
      str(file.string(), ": no table \"", name, "\"; there are ", base::join(names, ", ")));
}

void print_manifest(const fs::path& path) {
  const auto manifest = base::read_json(path, {.max_bytes = 256ull << 20});
  const auto body = manifest.value("identity_body", base::Json::object());
  line("method",
       body.value("method", "?") + ", identity " + manifest.value("identity", "?").substr(0, 12));
  const auto starts = manifest.value("starts", base::Json::array());
  if (starts.empty()) return;
  line("starts", str(starts.size(), ", the last at ", starts.back().value("time", "?"), " with ",
                     starts.back().value("ranks", base::Json::array()).size(), " ranks"));
}

// The journal knows what is done; state.json is some seconds old, or older after a kill. How many
// there will be: as the job says, or those that were asked for when there are more.
void print_units(const fs::path& folder, run::RunState state) {
  std::vector<store::QuarantinedUnit> quarantined;
  if (fs::is_directory(folder / "journal")) {
    const auto journal = store::load_journal(folder / "journal");
    quarantined = journal.quarantined_in_order();
    state.done = static_cast<int64_t>(journal.units.size());
    state.quarantined = static_cast<int64_t>(quarantined.size());
  }
  if (state.status != "done") state.total = std::max(state.total, state.planned);
  state.total = std::max(state.total, state.done + state.quarantined);
  line("units", str(state.done, " of ", state.total, " done",
                    state.quarantined > 0 ? str(", ", state.quarantined, " in quarantine") : ""));
  for (const auto& unit : quarantined) {
    line("quarantine", str(unit.id, " ", unit.stage, " ", unit.key.dump(), ": ", unit.reason,
                           "; another chance: preimage release ", folder.string(), " ", unit.id));
  }
}

}  // namespace

fs::path results_of(const fs::path& path) {
  if (!fs::exists(path)) throw base::config_error(path.string() + ": no such file or folder");
  if (!fs::is_directory(path)) return path;
  if (fs::exists(path / "results.h5")) return path / "results.h5";
  throw base::data_error(path.string() + ": holds no results.h5" +
                         (fs::exists(path / "run.json")
                              ? " yet: the run is not done; go on with --resume"
                              : "; expected a run's folder"));
}

void print_status(const fs::path& folder) {
  if (!fs::exists(folder)) throw base::config_error(folder.string() + ": no such folder");
  auto state = run::read_state(folder);
  const bool began = fs::exists(folder / "run.json") || fs::exists(folder / "journal");
  if (state.status.empty() && !began)
    throw base::data_error(
        folder.string() +
        ": no run here (no readable state.json); expected the folder that --out named");
  if (state.status.empty()) state.status = "running";  // ended before it could say so
  const auto user = run::folder_user(folder);
  std::cout << visible_text(folder.string()) << "\n";
  if (fs::exists(folder / "run.json")) print_manifest(folder / "run.json");
  const bool lost = state.status == "running" && user.empty();
  line("state", lost ? "interrupted: nobody is running it; go on with --resume" : state.status);
  print_units(folder, state);
  if (!user.empty()) line("in use by", user);
  if (state.exit_code != 0) line("exit code", str(state.exit_code));
  if (!state.reason.empty()) line("reason", state.reason);
  if (fs::exists(folder / "results.h5")) line("results", (folder / "results.h5").string());
}

void inspect(const InspectArguments& arguments) {
  const bool folder = fs::is_directory(arguments.path);
  if (folder && arguments.table.empty()) {
    if (fs::exists(arguments.path / "state.json")) print_status(arguments.path);
    if (fs::exists(arguments.path / "run.json") && !fs::exists(arguments.path / "results.h5")) {
      std::cout << "\nno results.h5 yet\n";
      return;
    }
  }
  const auto file = results_of(arguments.path);
  const auto info = store::inspect_file(file);
  if (!arguments.table.empty()) {
    const auto& table = find_table(file, info, arguments.table);
    print_table(file, table, arguments.rows > 0 ? arguments.rows : table.rows);
    return;
  }
  if (folder) std::cout << "\n";
  print_contents(file, info);
  for (const auto& table : info.tables) {
    if (table.rows > 0 && table.rows <= kShownTable)
      print_table(file, table, arguments.rows > 0 ? arguments.rows : kShownRows, kShownBlocks);
  }
}

}  // namespace preimage::app
