// Whole runs in one process: from a file of labelled programs, with the two checks of the pipeline,
// and from problems, with pocket-coder and a function in place of the sandbox.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>

#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/candidates.hpp"
#include "preimage/run/search.hpp"
#include "preimage/store/inspect.hpp"
#include "run/one_process.hpp"
#include "search.hpp"

namespace preimage::verifier {
namespace {

namespace fs = std::filesystem;

const fs::path source = PREIMAGE_SOURCE_DIR;

VerifierConfig small_config() {
  VerifierConfig config;
  config.arms.tokenizer = source / "jobs/models/pocket-coder";
  config.arms.hidden_size = 32;
  config.arms.layers = 1;
  config.arms.heads = 2;
  config.arms.max_tokens = 64;
  config.training_seeds = 2;
  config.train.epochs = 8;
  config.train.lr = 5e-3;
  config.train.warmup_steps = 4;
  config.train.evaluate_every = 10;
  config.bootstrap_draws = 1000;
  return config;
}

// Programs without any sign of whether they pass: the label is a coin.
void write_programs(const fs::path& path, int64_t problems) {
  const base::RandomStream random(3, "programs", "test");
  data::CandidateWriter writer(path);
  uint64_t at = 0;
  for (int64_t p = 0; p < problems; ++p) {
    for (int64_t i = 0; i < 6; ++i) {
      data::Candidate line;
      line.prompt = base::str("Problem ", p);
      line.code = base::str("x = ", random.below(100000, at++));
      line.pass = random.below(2, at++) == 0;
      line.problem = base::str("p", p);
      line.index = i;
      writer.write(line);
    }
  }
  writer.sync();
}

struct MetricOf {
  double value = NAN, low = NAN, high = NAN;
};

MetricOf metric(const fs::path& out, const std::string& selector, const std::string& name) {
  MetricOf found;
  for (const auto& table : store::inspect_file(out / "results.h5").tables) {
    if (table.name != "verifier/metrics") continue;
    store::read_table(out / "results.h5", table.name, [&](const store::Row& row) {
      // subset, selector, arm, loss, metric, value, low, high
      if (std::get<std::string>(row[0]) == "all" && std::get<std::string>(row[1]) == selector &&
          std::get<std::string>(row[4]) == name)
        found = {std::get<double>(row[5]), std::get<double>(row[6]), std::get<double>(row[7])};
    });
  }
  return found;
}

fs::path run_from_file(tests::OneProcess& one, const std::string& labels) {
  const auto file = one.out() / "programs.jsonl";
  write_programs(file, 30);
  auto config = small_config();
  config.data.candidates = file;
  config.labels = labels;
  auto setup = std::make_unique<const verifier::Setup>(verifier::Setup{
      config, 4, {}, std::nullopt, text::load_tokenizer(config.arms.tokenizer), nullptr});
  VerifierSearch search(one.context(), std::move(setup));
  run::search_loop(one.context(), search);
  return one.out();
}

TEST(Pipeline, TheLabelAsATokenGivesTheOracle) {
  tests::OneProcess one("verifier", {.seed = 4});
  const auto out = run_from_file(one, "token");
  EXPECT_DOUBLE_EQ(metric(out, "verifier", "pairwise_accuracy").value, 1);
  EXPECT_DOUBLE_EQ(metric(out, "verifier", "pass_at_1").value,
                   metric(out, "oracle", "pass_at_1").value);
}

TEST(Pipeline, ShuffledLabelsGiveRandom) {
  tests::OneProcess one("verifier", {.seed = 4});
  const auto out = run_from_file(one, "shuffled");
  const auto gain = metric(out, "verifier", "minus_random");
  EXPECT_LE(gain.low, 0);
  EXPECT_GE(gain.high, 0);
}

// Judges by a rule instead of running anything: programs with a "return" pass.
sandbox::Record fake_answer(const sandbox::Request& request) {
  sandbox::Record record;
  if (request.observe) {
    record.facts = {{"loaded", true}, {"attribute", nullptr}};
    return record;
  }
  const bool passes =
      request.program.find("return") != std::string::npos && request.program.size() % 2 == 0;
  record.verdict = passes ? sandbox::Verdict::pass : sandbox::Verdict::wrong;
  record.cpu_s = 0.01;
  return record;
}

TEST(Pipeline, GeneratesJudgesTrainsScores) {
  tests::OneProcess one("verifier", {.seed = 4});
  auto config = small_config();
  config.data.problems = {"mbpp", source / "jobs/data/functions/problems.jsonl"};
  config.data.train_limit = 6;
  config.data.test_limit = 4;
  config.arms.tokenizer.clear();
  config.arms.kinds = {"ouroboros", "generator", "likelihood"};
  config.score_training = false;
  config.arms.max_tokens = 200;
  config.arms.tuned_layers = 1;
  config.training_seeds = 1;
  config.train.epochs = 1;
  config.generation.model = source / "jobs/models/pocket-coder";
  config.generation.prompt = "{text}\n\n{tests}\n\n";
  config.generation.max_new_tokens = 48;
  config.generation.train_candidates = 6;
  config.generation.test_candidates = 4;
  config.generation.block = 4;
  sandbox::FakeJudge judge(fake_answer);
  verifier::Setup setup{config,
                        4,
                        load_problems(config, 4),
                        load_generator(config.generation, at::kCPU),
                        text::load_tokenizer(config.tokenizer_folder()),
                        [&]() -> sandbox::Judge& { return judge; }};
  VerifierSearch search(one.context(), std::make_unique<const verifier::Setup>(std::move(setup)));
  run::search_loop(one.context(), search);

  std::map<std::string, int64_t> rows;
  for (const auto& table : store::inspect_file(one.out() / "results.h5").tables)
    store::read_table(one.out() / "results.h5", table.name,
                      [&](const store::Row&) { ++rows[table.name]; });
  // Six train problems, six of the validation split, four to test on.
  EXPECT_EQ(rows["verifier/problems"], 16);
  EXPECT_EQ(rows["verifier/candidates"], 12 * 6 + 4 * 4);
  // Three arms, and the problems of validation and test.
  EXPECT_EQ(rows["verifier/energies"], 3 * (6 * 6 + 4 * 4));
  EXPECT_GT(rows["verifier/training"], 0);
  EXPECT_GT(rows["verifier/pairs"], 0);
  // What was written for later training reads back.
  const auto written = data::read_candidates(one.out() / "candidates.jsonl");
  EXPECT_EQ(static_cast<int64_t>(written.size()), rows["verifier/candidates"]);
}

// Imports and helpers of a HumanEval prompt belong to the program, whatever the answer repeats.
TEST(Programs, OfAnswersToHumanEval) {
  Problem problem;
  problem.source.form = data::TestForm::check_function;
  problem.source.entry_point = "f";
  const std::string head = "from typing import List\ndef helper(x): return x\n";
  problem.source.starter = head + "def f(x):\n    \"\"\"Doubles.\"\"\"\n";
  const std::string whole = "def f(x):\n    return 2 * x";
  const GenerationConfig config;
  EXPECT_EQ(program_of(config, problem, "Here:\n```python\n" + whole + "\n```\nDone."),
            head + whole + "\n");
  EXPECT_EQ(program_of(config, problem, "    return 2 * x\n"),
            problem.source.starter + "    return 2 * x\n");
  problem.source.form = data::TestForm::assertions;
  EXPECT_EQ(program_of(config, problem, "```\n" + whole + "\n```"), whole + "\n");
}

}  // namespace
}  // namespace preimage::verifier
