#include <map>

#include "program.hpp"

namespace preimage::app {
namespace {

// One or two lines for each command, as they are typed.
const std::map<std::string, std::string>& examples() {
  static const std::map<std::string, std::string> lines = {
      {"run",
       "preimage run jobs/quick/dcm.json --out out/quick\n"
       "  mpirun -n 2 preimage run jobs/quick/dcm.json --set dcm.k=4 --resume"},
      {"launch", "preimage launch jobs/quick/dcm.json -n 2 --out out/quick"},
      {"validate", "preimage validate jobs/quick/dcm.json -n 2"},
      {"submit", "preimage submit jobs/quick/dcm.json --slurm -n 4 --time 1:00:00 --out out/quick"},
      {"status", "preimage status out/quick"},
      {"release", "preimage release out/quick"},
      {"inspect", "preimage inspect out/quick --table dcm/pairs --rows 5"},
      {"merge", "preimage merge out/first out/second --out both.h5"},
      {"export", "preimage export out/quick --csv --out tables"},
      {"methods", "preimage methods"},
      {"schema", "preimage schema dcm > dcm.schema.json"},
      {"help", "preimage help dcm\n  preimage help generate"},
      {"generate",
       "echo '{\"prompt\": \"Once upon a time\"}' | preimage generate --model "
       "jobs/models/pocket-lm --fields text\n"
       "  preimage generate --model DIR --in prompts.jsonl --out texts.jsonl --resume"},
      {"score",
       "echo '{\"prompt\": \"The sky is\", \"continuation\": \" blue\"}' | preimage score --model "
       "jobs/models/pocket-lm"},
      {"embed",
       "preimage embed --model jobs/models/pocket-lm --pooling mean --in texts.jsonl --out "
       "vectors.jsonl"},
      {"tokenize",
       "echo '{\"text\": \"The sky is blue\"}' | preimage tokenize --model jobs/models/pocket-lm"},
      {"judge",
       "echo '{\"program\": \"def f(x): return x + 1\", \"assert_tests\": [\"assert f(1) == 2\"]}' "
       "| preimage judge"},
  };
  return lines;
}

constexpr const char* kExitCodes = R"(Exit codes, the same for every command:
  0   done
  65  an input file, or a line of it, holds something wrong
  69  a needed thing is not there: GPU, memory, sandbox, interpreter
  70  a bug of preimage
  74  reading or writing failed: permissions, a full disk, no folder for the output
  75  stopped, by a signal or out of time; --resume goes on
  78  the command line or the job is wrong: a word, a field, a value, a path where nothing is

`preimage help COMMAND` explains a command, `preimage help METHOD` the fields of its jobs.)";

}  // namespace

void add_examples(CLI::App& app) {
  app.footer("\n" + std::string(kExitCodes));
  for (auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (const auto found = examples().find(command->get_name()); found != examples().end())
      command->footer("\nExample:\n  " + found->second);
  }
}

}  // namespace preimage::app
