#include <memory>

#include "../tools/tools.hpp"
#include "commands.hpp"
#include "lines/line_commands.hpp"

namespace preimage::app {
namespace {

struct ToolArguments {
  lines::LineOptions lines;
  tools::EngineOptions engine;
  std::string on_bad_line = "error", pooling = "pipeline";
  int64_t top = 0;
};

using Arguments = std::shared_ptr<ToolArguments>;
using MakeTool = std::unique_ptr<tools::LineTool> (*)(const ToolArguments&);

Arguments add_tool(CLI::App* command, Program& program, MakeTool make) {
  auto arguments = std::make_shared<ToolArguments>();
  auto& lines = arguments->lines;
  command->add_option("--model", arguments->engine.model, "checkpoint folder")->required();
  add_files(*command, lines, arguments->on_bad_line);
  add_threads(*command, lines);
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
      ->check(CLI::IsMember({"decoded", "stored", "int8", "fp8", "fp8_w8a8"}))
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

  add_tokenize_command(app, program, [&program](const auto& lines, auto& tool) {
    const cluster::Session session(program.argc, program.argv);
    return tools::run_line_tool(session, lines, tool);
  });
}

}  // namespace preimage::app
