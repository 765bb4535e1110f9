// What every program with commands shares: it reads its words, runs one command and reports what
// went wrong.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

namespace preimage::app {

// A command's callback leaves the exit code in `code`.
struct Program {
  int argc;
  char** argv;
  int code = 0;
};

// Behind the --help of each command an example, behind that of the program its exit codes.
void add_examples(CLI::App& app);

// Runs the command of the program's words; the process's exit code. What words that cannot be
// understood were likely meant to be says `complaint`.
int run_command_line(CLI::App& app, const Program& program,
                     const std::function<std::string(const CLI::ParseError&)>& complaint);

}  // namespace preimage::app
