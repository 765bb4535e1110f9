#include <cmath>
#include <cstdio>
#include <iostream>

#include "commands.hpp"
#include "inspect.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/output.hpp"
#include "preimage/base/terminal.hpp"
#include "preimage/base/utf8.hpp"
#include "preimage/store/inspect.hpp"
#include "show.hpp"

namespace preimage::app {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr size_t kWriteBytes = 1 << 20;

// RFC 4180.
std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string csv_line(const std::vector<store::Column>& columns, const store::Row& row) {
  std::string out;
  for (size_t i = 0; i < columns.size(); ++i) {
    out +=
        (i ? "," : "") + csv_cell(base::replace_invalid_utf8(cell_text(row[i], columns[i].type)));
  }
  return out + "\n";
}

std::string csv_head(const std::vector<store::Column>& columns) {
  std::string out;
  for (const auto& column : columns) out += (out.empty() ? "" : ",") + csv_cell(column.name);
  return out + "\n";
}

std::string json_cell(const store::Cell& cell, store::Type type) {
  if (std::holds_alternative<std::string>(cell)) {
    return Json(base::replace_invalid_utf8(std::get<std::string>(cell))).dump();
  }
  const auto* number = std::get_if<double>(&cell);
  return number && !std::isfinite(*number) ? "null" : cell_text(cell, type);
}

// Keys in the order of the columns.
std::string json_line(const std::vector<store::Column>& columns, const store::Row& row) {
  std::string out;
  for (size_t i = 0; i < columns.size(); ++i) {
    out +=
        (i ? "," : "{") + Json(columns[i].name).dump() + ":" + json_cell(row[i], columns[i].type);
  }
  return out + "}\n";
}

// A table's name is text of others: what would act on a terminal does not become a file's name, nor
// does a name that begins with a dot hide it.
std::string file_name(const std::string& table, const char* suffix) {
  std::string name = base::visible_text(table);
  for (char& c : name) {
    if (c == '/' || c == '\n') c = '.';
  }
  if (name.starts_with('.')) name[0] = '_';
  return name + suffix;
}

void export_table(const fs::path& file, const store::TableInfo& table, const fs::path& out,
                  bool csv) {
  base::refuse_same_file(out.string(), {file.string()});
  base::OutputFile stream(out.string());
  std::string text = csv ? csv_head(table.schema.columns) : "";
  store::read_table(file, table.name, [&](const store::Row& row) {
    text += csv ? csv_line(table.schema.columns, row) : json_line(table.schema.columns, row);
    if (text.size() < kWriteBytes) return;
    stream.write(text);
    text.clear();
  });
  stream.write(text);
  stream.publish();
}

}  // namespace

void export_tables(const ExportArguments& arguments) {
  if (arguments.csv == arguments.jsonl)
    throw base::config_error("export: choose one of --csv and --jsonl");
  const auto file = results_of(arguments.path);
  const auto info = store::inspect_file(file);
  std::error_code error;
  fs::create_directories(arguments.out, error);
  if (error)
    throw base::io_error(arguments.out.string() + ": cannot be created (" + error.message() + ")");
  for (const auto& table : info.tables) {
    const auto out = arguments.out / file_name(table.name, arguments.csv ? ".csv" : ".jsonl");
    export_table(file, table, out, arguments.csv);
    std::cout << base::visible_text(out.string()) << ": " << table.rows << " rows\n";
  }
  if (!info.tensors.empty())
    std::cout << info.tensors.size() << " tensors stay in " << file.string() << "\n";
}

}  // namespace preimage::app
