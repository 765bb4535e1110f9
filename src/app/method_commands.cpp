#include <algorithm>
#include <iostream>
#include <memory>

#include "commands.hpp"
#include "lines/wrong_words.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/run/config.hpp"
#include "registry.hpp"

namespace preimage::app {
namespace {

using base::Json;

struct Method {
  std::unique_ptr<run::Experiment> experiment;
  run::RunConfig run;
  base::Fields fields() {
    base::Fields all;
    all.group("run", run);
    all.group(experiment->name(), *experiment);
    return all;
  }
};

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += " " + name;
  return text;
}

Method find_method(const std::string& name) {
  Method method{make_experiment(name), {}};
  if (method.experiment) return method;
  throw base::config_error(unknown_method(name));
}

// Commands and methods have no name in common (tests/app).
void print_help(const CLI::App& app, const std::string& name) {
  if (name.empty()) {
    // Not app.help(), which would be that of the command being run.
    std::cout << app.get_formatter()->make_help(&app, app.get_name(), CLI::AppFormatMode::Normal);
    return;
  }
  const auto commands = command_names(app);
  if (std::find(commands.begin(), commands.end(), name) != commands.end()) {
    std::cout << app.get_subcommand(name)->help(app.get_name());
    return;
  }
  if (!make_experiment(name)) {
    auto words = method_names();
    words.insert(words.end(), commands.begin(), commands.end());
    const auto near = base::nearest(name, words);
    throw base::config_error(
        "\"" + name + "\" is neither a command nor a method" +
        (near.empty() ? "; there are:" + listed(words) : " (did you mean \"" + near + "\"?)"));
  }
  auto method = find_method(name);
  std::cout << name << ": " << method.experiment->description() << "\n\n"
            << base::help_of(method.fields());
}

void print_methods() {
  const auto all = all_experiments();
  size_t width = 0;
  for (const auto& experiment : all) width = std::max(width, experiment->name().size());
  for (const auto& experiment : all) {
    const auto name = experiment->name();
    std::cout << name << std::string(width - name.size() + 2, ' ') << experiment->description()
              << "\n";
  }
}

// Of a whole job file: what an editor checks and completes.
void print_schema(const std::string& name) {
  auto method = find_method(name);
  auto schema = base::schema_of(method.fields());
  auto& properties = schema["properties"];
  properties["method"] = {{"const", name}, {"description", method.experiment->description()}};
  properties["$schema"] = {{"type", "string"}};
  properties["sweep"] = {
      {"type", "object"},
      {"description", "fields with a list of values each: every combination is run"},
      {"additionalProperties", {{"type", "array"}, {"minItems", 1}}}};
  schema["required"].push_back("method");
  schema["title"] = "preimage job: " + name;
  std::cout << schema.dump(2) << "\n";
}

}  // namespace

void add_method_commands(CLI::App& app, Program&) {
  app.add_subcommand("methods", "what there is to run")->callback(print_methods);
  auto name = std::make_shared<std::string>();
  auto* schema = app.add_subcommand("schema", "JSON Schema of a method's job file, for editors");
  schema->add_option("method", *name, "one of `preimage methods`")->required();
  schema->callback([name] { print_schema(*name); });
  auto* help = app.add_subcommand(
      "help", "a command, or every config field of a method with default, range and meaning");
  help->add_option("name", *name, "a command, or one of `preimage methods`");
  help->callback([name, &app] { print_help(app, *name); });
}

}  // namespace preimage::app
