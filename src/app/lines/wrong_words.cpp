#include "wrong_words.hpp"

#include <algorithm>

#include "preimage/base/str.hpp"

namespace preimage::app {
namespace {

using base::str;

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// "--in", "-n": everything that the command takes.
std::vector<std::string> options_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    for (const auto& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The command that the wrong words belong to: "preimage run".
std::string place(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? "preimage" : "preimage " + chosen.front()->get_name();
}

std::string quoted(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const auto& name : names) out.push_back("\"" + name + "\"");
  return base::join(out, ", ");
}

// Of an option that is none of the command's.
std::string unknown_option(const CLI::App& app, const CLI::App& command, const std::string& word) {
  const auto name = word.substr(0, word.find('='));
  const auto own = options_of(command);
  // Before the command stands what belongs behind it.
  if (&command != &app && has(own, name))
    return str("the option \"", name, "\" stands before the command; write ", place(app), " ... ",
               name);
  const auto near = base::nearest(name, own);
  if (name.size() > 2 && !near.empty())
    return str("unknown option \"", name, "\" (did you mean \"", near, "\"?)");
  std::vector<std::string> elsewhere;
  for (const auto* other : commands_of(app)) {
    if (has(options_of(*other), name)) elsewhere.push_back(other->get_name());
  }
  if (elsewhere.empty()) return str("unknown option \"", name, "\"");
  return str("\"", name, "\" is no option of ", place(app), " but of ", quoted(elsewhere),
             name == "-n" ? "; a run on N ranks is started by preimage launch JOB -n N, or by "
                            "mpirun -n N preimage run JOB"
                          : "");
}

}  // namespace

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* command : commands_of(app)) names.push_back(command->get_name());
  return names;
}

std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return "";
  const auto names = command_names(app);
  if (has(names, argv[1])) return "";
  const auto near = base::nearest(argv[1], names);
  return str("unknown command \"", argv[1], "\"",
             near.empty() ? "" : " (did you mean \"" + near + "\"?)", "; see preimage --help");
}

std::string parse_complaint(const CLI::App& app, const CLI::ParseError& error) {
  const auto help = "; see " + place(app) + " --help";
  const auto chosen = app.get_subcommands();
  const CLI::App& command = chosen.empty() ? app : *chosen.front();
  for (const auto& word : app.remaining(/*recurse=*/true)) {
    // Named before what else is wrong: a required option that is "missing" may be the one with the
    // slip.
    if (word.size() > 1 && word[0] == '-') return unknown_option(app, command, word) + help;
  }
  if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr) return error.what() + help;
  return str(place(app), " takes no further word, found ", quoted(app.remaining(true)), help);
}

}  // namespace preimage::app
