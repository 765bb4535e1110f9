// The commands of the program, one adding function for each group.
#pragma once

#include <filesystem>

#include "lines/program.hpp"

namespace preimage::app {

void add_run_commands(CLI::App& app, Program& program);  // run, launch, validate, submit
void add_folder_commands(CLI::App& app,
                         Program& program);  // status, inspect, release, merge, export
void add_method_commands(CLI::App& app, Program& program);  // methods, schema, help
void add_tool_commands(CLI::App& app, Program& program);  // generate, score, embed, tokenize, judge
// DIR/results.h5 of a run's folder, or the file itself. ExitCode::bad_data when there is none.
std::filesystem::path results_of(const std::filesystem::path& path);

}  // namespace preimage::app
