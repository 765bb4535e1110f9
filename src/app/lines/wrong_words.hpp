// What a command line that cannot be understood was likely meant to be.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace preimage::app {

// A first word that is no command: what to say, or "".
std::string unknown_command(const CLI::App& app, int argc, char** argv);

// The text of a parse error: for an option that the command lacks the nearest one it has, or the
// commands that have it; else what CLI11 says.
std::string parse_complaint(const CLI::App& app, const CLI::ParseError& error);

// Of all commands.
std::vector<std::string> command_names(const CLI::App& app);

}  // namespace preimage::app
