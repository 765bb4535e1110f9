#include "app.hpp"

#include <ATen/Context.h>

#include <cstdlib>

#include "commands.hpp"
#include "lines/wrong_words.hpp"
#include "preimage/run/manifest.hpp"

namespace preimage::app {
namespace {

// ATen's GPU operations that sum in the order of arrival have a second form that does not.
void choose_deterministic_kernels() {
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  at::globalContext().setFloat32MatmulPrecision("highest");
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
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
  return run_command_line(app, program,
                          [&](const auto& error) { return parse_complaint(app, error); });
}

}  // namespace preimage::app
