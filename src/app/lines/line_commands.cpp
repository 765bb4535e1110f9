#include "line_commands.hpp"

#include <memory>

#include "preimage/lines/judge.hpp"
#include "preimage/lines/tokenize.hpp"

namespace preimage::app {
namespace {

struct JudgeArguments {
  lines::JudgeOptions options;
  std::string on_bad_line = "error", level = "full";
  bool take_first_timeout = false;
};

void add_judge_limits(CLI::App& command, JudgeArguments& arguments) {
  auto& pool = arguments.options.pool;
  auto& limits = pool.limits;
  command
      .add_option("--cpu-limit", limits.cpu_s, "CPU seconds of a program, scaled to this machine")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  command.add_option("--wall-limit", limits.wall_s, "seconds by the clock, likewise")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  command.add_option("--memory-mb", limits.memory_mb, "of a program with all its processes")
      ->check(CLI::Range(64, 1 << 20))
      ->capture_default_str();
  command.add_option("--output-kb", limits.output_kb, "standard output and error together")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_flag("--no-calibration{false}", pool.calibrate, "take the time limits as they are");
  command.add_flag("--take-first-timeout", arguments.take_first_timeout,
                   "count a time-out without running the program once more alone");
  command.add_option("--workers", pool.workers, "programs that compute at once; 0: all processors")
      ->check(CLI::Range(0, 4096));
  command.add_option("--slots", pool.slots, "programs alive at once; 0: 16 a worker")
      ->check(CLI::Range(0, 500));
  command.add_option("--python", pool.python, "the interpreter, 3.11 or newer")
      ->capture_default_str();
}

}  // namespace

void add_judge_command(CLI::App& app, Program& program) {
  auto* command =
      app.add_subcommand("judge", "run programs that nobody trusts against their tests");
  const auto arguments = std::make_shared<JudgeArguments>();
  auto& options = arguments->options;
  add_files(*command, options, arguments->on_bad_line);
  command
      ->add_option("--level", arguments->level,
                   "full: a uid for each slot (needs root); user: an unprivileged user namespace")
      ->check(CLI::IsMember({"full", "user"}))
      ->capture_default_str();
  command->add_option("--exclude", options.exclude, "file of ids, one a line, that are left out");
  command->add_flag("--require-pass", options.require_pass,
                    "for reference solutions: exit with 65 unless all pass");
  add_judge_limits(*command, *arguments);
  command->callback([arguments, &program] {
    auto& judge = arguments->options;
    judge.skip_bad_lines = arguments->on_bad_line == "skip";
    judge.pool.confirm_timeouts = !arguments->take_first_timeout;
    judge.pool.level = arguments->level == "full" ? sandbox::Level::full : sandbox::Level::user;
    program.code = lines::run_judge(judge);
  });
}

void add_tokenize_command(CLI::App& app, Program& program, RunLines run) {
  struct Arguments {
    lines::LineOptions lines;
    lines::TokenizeOptions options;
    std::string on_bad_line = "error";
  };
  auto* command = app.add_subcommand("tokenize", "texts to token ids and back");
  const auto arguments = std::make_shared<Arguments>();
  auto& options = arguments->options;
  command->add_option("--model", options.model, "checkpoint folder")->required();
  add_files(*command, arguments->lines, arguments->on_bad_line);
  add_threads(*command, arguments->lines);
  command->add_flag("--add-special", options.add_special,
                    "add what the checkpoint puts around a text");
  command->add_flag("--skip-special", options.skip_special, "leave special tokens out of texts");
  command->callback([arguments, run = std::move(run), &program] {
    arguments->lines.device = "cpu";
    arguments->lines.skip_bad_lines = arguments->on_bad_line == "skip";
    const auto tool = lines::make_tokenize(arguments->options);
    program.code = run(arguments->lines, *tool);
  });
}

}  // namespace preimage::app
