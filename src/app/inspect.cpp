#include "inspect.hpp"

#include <iostream>
#include <optional>

#include "commands.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/run/lock.hpp"
#include "preimage/run/manifest.hpp"
#include "preimage/store/inspect.hpp"
#include "show.hpp"

namespace preimage::app {
namespace {

namespace fs = std::filesystem;
using base::str;

// A table above this many rows is only named, unless it is asked for.
constexpr int64_t kShownTable = 2000, kShownRows = 20;
constexpr size_t kShownBlocks = 2;

void line(const std::string& name, const std::string& text) {
  std::cout << "  " << name << std::string(name.size() < 12 ? 12 - name.size() : 1, ' ') << text
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
            << table.name << ": " << table.rows << " rows"
            << (table.schema.description.empty() ? "" : ", " + table.schema.description) << "\n";
  std::cout << table_text(table.schema.columns, first_rows(file, table.name, count),
                          {.width = terminal_width(), .blocks = blocks});
  if (count < table.rows)
    std::cout << "  ... " << table.rows - count << " more rows (--table " << table.name << ")\n";
}

void print_contents(const fs::path& file, const store::FileInfo& info) {
  std::cout << file.string() << ": "
            << (info.format.empty() ? "an HDF5 file of others" : info.format) << "\n";
  for (const auto& [name, value] : info.attributes.items()) {
    if (name != "format") line(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  for (const auto& table : info.tables)
    std::cout << "  table   " << table.name << "  " << table.rows << " rows, "
              << table.schema.columns.size() << " columns\n";
  for (const auto& tensor : info.tensors) {
    std::cout << "  tensor  " << tensor.name << "  " << sizes(tensor.shape)
              << (tensor.schema.description.empty() ? "" : ", " + tensor.schema.description)
              << "\n";
  }
  for (const auto& name : info.others) std::cout << "  other   " << name << "\n";
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

}  // namespace

fs::path results_of(const fs::path& path) {
  if (!fs::exists(path)) throw base::data_error(path.string() + ": no such file or folder");
  if (!fs::is_directory(path)) return path;
  if (fs::exists(path / "results.h5")) return path / "results.h5";
  throw base::data_error(path.string() + ": holds no results.h5" +
                         (fs::exists(path / "run.json")
                              ? " yet: the run is not done; go on with --resume"
                              : "; expected a run's folder"));
}

void print_status(const fs::path& folder) {
  const auto state = run::read_state(folder);
  if (state.status.empty())
    throw base::data_error(
        folder.string() +
        ": no run here (no readable state.json); expected the folder that --out named");
  const auto user = run::folder_user(folder);
  std::cout << folder.string() << "\n";
  if (fs::exists(folder / "run.json")) {
    const auto manifest = base::read_json(folder / "run.json", {.max_bytes = 256ull << 20});
    const auto body = manifest.value("identity_body", base::Json::object());
    line("method",
         body.value("method", "?") + ", identity " + manifest.value("identity", "?").substr(0, 12));
    const auto starts = manifest.value("starts", base::Json::array());
    if (!starts.empty()) {
      line("starts",
           str(starts.size(), ", the last at ", starts.back().value("time", "?"), " with ",
               starts.back().value("ranks", base::Json::array()).size(), " ranks"));
    }
  }
  const bool lost = state.status == "running" && user.empty();
  line("state", lost ? "interrupted: nobody is running it; go on with --resume" : state.status);
  line("units", str(state.done, " of ", state.total, " done",
                    state.quarantined > 0 ? str(", ", state.quarantined, " in quarantine") : ""));
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
