#include "app.hpp"

#include <ATen/Context.h>

#include <cstdlib>
#include <iostream>
#include <sstream>

#include "commands.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/terminal.hpp"
#include "preimage/run/manifest.hpp"
#include "wrong_words.hpp"

namespace preimage::app {
namespace {

// ATen's GPU operations that sum in the order of arrival have a second form that does not.
void choose_deterministic_kernels() {
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  at::globalContext().setFloat32MatmulPrecision("highest");
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
}

int fail(base::ExitCode code, const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    std::cerr << "preimage: " << base::visible_text(line) << "\n";
  return static_cast<int>(code);
}

std::string version() {
  const auto versions = run::program_versions("");
  return "preimage " + versions.value("preimage", "") + " (git " + versions.value("git", "") +
         ", torch " + versions.value("torch", "?") + ")";
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("preimage searches backwards through frozen language models", "preimage");
  app.require_subcommand(1);
  app.set_version_flag("--version", version);
  Program program{argc, argv};
  choose_deterministic_kernels();
  add_run_commands(app, program);
  add_folder_commands(app, program);
  add_method_commands(app, program);
  add_tool_commands(app, program);
  add_examples(app);
  if (const auto unknown = unknown_command(app, argc, argv); !unknown.empty()) {
    return fail(base::ExitCode::bad_config, unknown);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return fail(base::ExitCode::bad_config, parse_complaint(app, error));
  } catch (const base::Error& error) {
    return fail(error.code(), error.what());
  } catch (const std::exception& error) {
    return fail(base::ExitCode::bug, std::string("bug: ") + error.what());
  }
  std::cout.flush();
  if (!std::cout) return fail(base::ExitCode::io, "standard output: cannot be written");
  return program.code;
}

}  // namespace preimage::app
