// preimage-lines: the commands over JSON Lines that need neither torch nor MPI, whose start takes a
// fifth of a second. preimage becomes it for these commands (before_all_else in src/app/main.cpp).
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "line_commands.hpp"
#include "preimage/base/threads.hpp"
#include "whole_program.hpp"
#include "wrong_words.hpp"

namespace preimage::app {
namespace {

int run_alone(const lines::LineOptions& options, lines::LineTool& tool) {
  const int cores = base::usable_cores();
  const int threads = base::thread_count(options.threads, cores, 1);
  base::refuse_many_threads(threads, cores, options.threads);
  lines::run_lines(lines::Alone(threads), options, options.device, tool);
  return 0;
}

// The whole program knows the options of its other commands, and which was meant.
void leave_to_whole_program(char** argv) {
  std::error_code failed;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", failed).parent_path();
  setenv(kWholeProgram, "1", /*overwrite=*/1);
  execv((here / "preimage").c_str(), argv);
}

int main_of_lines(int argc, char** argv) {
  CLI::App app("preimage searches backwards through frozen language models", "preimage");
  app.require_subcommand(1);
  Program program{argc, argv};
  add_tokenize_command(app, program, run_alone);
  add_judge_command(app, program);
  add_examples(app);
  return run_command_line(app, program, [&](const auto& error) {
    leave_to_whole_program(argv);
    return parse_complaint(app, error);
  });
}

}  // namespace
}  // namespace preimage::app

int main(int argc, char** argv) {
  return preimage::app::main_of_lines(argc, argv);
}
