#include <memory>

#include "../tools/judge.hpp"
#include "../tools/tools.hpp"
#include "commands.hpp"

namespace preimage::app {
namespace {

struct ToolArguments {
  tools::LineOptions lines;
  tools::EngineOptions engine;
  std::string on_bad_line = "error", pooling = "pipeline";
  int64_t top = 0;
  bool skip_special = false;
};

using Arguments = std::shared_ptr<ToolArguments>;
using MakeTool = std::unique_ptr<tools::LineTool> (*)(const ToolArguments&);

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

Arguments add_tool(CLI::App* command, Program& program, MakeTool make) {
  auto arguments = std::make_shared<ToolArguments>();
  auto& lines = arguments->lines;
  command->add_option("--model", arguments->engine.model, "checkpoint folder")->required();
  add_files(*command, lines, arguments->on_bad_line);
  command
      ->add_option("--threads", lines.threads,
                   "threads of a rank; 0: the host's cores divided among its ranks")
      ->check(CLI::Range(0, 4096));
  command->callback([arguments, make, &program] {
    arguments->lines.skip_bad_lines = arguments->on_bad_line == "skip";
    const auto tool = make(*arguments);
    const cluster::Session session(program.argc, program.argv);
    program.code = tools::run_line_tool(session, arguments->lines, *tool);
  });
  return arguments;
}

void add_engine_options(CLI::App& command, ToolArguments& arguments) {
  command.add_option("--dtype", arguments.engine.dtype, "precision of weights and products")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  command
      .add_option("--weights", arguments.engine.weights,
                  "how the matrices are held: decoded to --dtype, stored as in the checkpoint "
                  "(MXFP4, FP8, int4), or quantized on load")
      ->check(CLI::IsMember({"decoded", "stored", "int8", "fp8"}))
      ->capture_default_str();
  command.add_option("--adapter", arguments.engine.adapter,
                     "folder of a LoRA adapter (PEFT) to merge into the weights");
  command
      .add_option("--context", arguments.engine.context,
                  "the longest sequence, for rope types that depend on it (dynamic, longrope)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31));
  command.add_option("--device", arguments.lines.device, "where the model runs")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  command.add_option("--batch", arguments.engine.batch, "sequences at once")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_flag("--add-special", arguments.engine.add_special,
                   "put the checkpoint's special tokens around a text");
  command.add_flag("--fast", arguments.lines.fast,
                   "on a GPU: products in whatever order is the fastest, so that bits may depend "
                   "on the batch; written into every line of the output");
}

struct JudgeArguments {
  tools::JudgeOptions options;
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
    program.code = tools::run_judge(judge);
  });
}

}  // namespace

void add_tool_commands(CLI::App& app, Program& program) {
  add_judge_command(app, program);
  auto* generate =
      app.add_subcommand("generate", "continue prompts, also from stored soft prompts");
  const auto generated = add_tool(
      generate, program, [](const ToolArguments& a) { return tools::make_generate(a.engine); });
  add_engine_options(*generate, *generated);
  generate->add_option("--corrector", generated->engine.corrector,
                       "folder of a vec2text corrector, for lines with \"steps\"");
  generate->add_option("--embedder", generated->engine.embedder,
                       "folder of the encoder whose embeddings --model inverts");

  auto* score = app.add_subcommand("score", "log-probabilities of given continuations");
  const auto scored = add_tool(
      score, program, [](const ToolArguments& a) { return tools::make_score(a.engine, a.top); });
  add_engine_options(*score, *scored);
  score->add_option("--top", scored->top, "also the K best tokens at each place")
      ->check(CLI::Range(0, 1 << 20));

  auto* embed = app.add_subcommand("embed", "one vector for each text");
  const auto embedded = add_tool(embed, program, [](const ToolArguments& a) {
    return tools::make_embed(a.engine, a.pooling);
  });
  add_engine_options(*embed, *embedded);
  embed
      ->add_option(
          "--pooling", embedded->pooling,
          "pipeline: as the checkpoint's modules.json says; mean of the tokens; first token")
      ->check(CLI::IsMember({"pipeline", "mean", "first"}))
      ->capture_default_str();

  auto* tokenize = app.add_subcommand("tokenize", "texts to token ids and back");
  const auto tokenized = add_tool(tokenize, program, [](const ToolArguments& a) {
    return tools::make_tokenize({a.engine.model, a.engine.add_special, a.skip_special});
  });
  tokenized->lines.device = "cpu";
  tokenize->add_flag("--add-special", tokenized->engine.add_special,
                     "add what the checkpoint puts around a text");
  tokenize->add_flag("--skip-special", tokenized->skip_special,
                     "leave special tokens out of texts");
}

}  // namespace preimage::app
