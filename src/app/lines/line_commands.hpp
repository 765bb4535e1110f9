// The commands over JSON Lines that need neither torch nor MPI.
#pragma once

#include <functional>
#include <string>

#include "preimage/lines/line_tool.hpp"
#include "program.hpp"

namespace preimage::app {

// What all tools over JSON Lines have. CLI11 keeps references to `lines` and `on_bad_line`.
template <class Lines>
void add_files(CLI::App& command, Lines& lines, std::string& on_bad_line) {
  command.add_option("--in", lines.in, "JSON Lines to read; -: standard input")
      ->capture_default_str();
  command.add_option("--out", lines.out, "JSON Lines to write; -: standard output")
      ->capture_default_str();
  command.add_flag("--resume", lines.resume,
                   "go on behind the lines that the file --out holds of an interrupted run");
  command
      .add_option(
          "--fields", lines.fields,
          "which fields a line of output has beside its id and what was carried through, in "
          "this order, as in text,ids; default: all")
      ->delimiter(',');
  command.add_flag("--strict", lines.strict,
                   "refuse a line with a field that is unknown and near a known one (temprature) "
                   "instead of warning once");
  command
      .add_option("--on-bad-line", on_bad_line,
                  "error: stop before anything runs; skip: leave out and count")
      ->check(CLI::IsMember({"error", "skip"}))
      ->capture_default_str();
}

// Of the tools that share their lines among ranks.
inline void add_threads(CLI::App& command, lines::LineOptions& lines) {
  command
      .add_option("--threads", lines.threads,
                  "threads of a rank; 0: the host's cores divided among its ranks")
      ->check(CLI::Range(0, 4096));
}

// Runs a tool over the lines that the options name; the exit code.
using RunLines = std::function<int(const lines::LineOptions&, lines::LineTool&)>;

void add_tokenize_command(CLI::App& app, Program& program, RunLines run);
void add_judge_command(CLI::App& app, Program& program);

}  // namespace preimage::app
