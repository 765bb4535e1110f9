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
#include "run/whole_run.hpp"
#include "sandbox/late_judge.hpp"
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

// Programs of one letter each, of which every second passes: a rule of 26 parts, so that shuffled
// labels teach 26 unrelated things and not, by chance, the whole of it or its opposite.
void write_programs(const fs::path& path, int64_t problems) {
  const base::RandomStream random(3, "programs", "test");
  data::CandidateWriter writer(path);
  uint64_t at = 0;
  for (int64_t p = 0; p < problems; ++p) {
    for (int64_t i = 0; i < 6; ++i) {
      data::Candidate line;
      line.prompt = base::str("Problem ", p);
      const auto letter = static_cast<char>('a' + random.below(26, at++));
      line.pass = (letter - 'a') % 2 == 0;
      line.code = base::str("x = ", letter, " + ", random.below(1000, at++));
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

fs::path run_from_file(tests::OneProcess& one, const std::string& labels, uint64_t seed = 4) {
  const auto file = one.out() / "programs.jsonl";
  write_programs(file, 36);
  auto config = small_config();
  config.data.candidates = file;
  config.labels = labels;
  config.train.epochs = 12;
  config.data.test_share = 0.4;
  auto setup = std::make_unique<const verifier::Setup>(verifier::Setup{
      config, seed, {}, std::nullopt, text::load_tokenizer(config.arms.tokenizer), nullptr});
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

// What the true labels teach is gone once they are shuffled.
TEST(Pipeline, ShuffledLabelsGiveRandomWhereTrueOnesDoNot) {
  tests::OneProcess own("verifier", {.seed = 4});
  const auto learned = run_from_file(own, "true");
  EXPECT_GT(metric(learned, "verifier", "pairwise_accuracy").value, 0.9);
  EXPECT_GT(metric(learned, "verifier", "minus_random").low, 0);
  // One draw of the shuffle may teach a part of the rule, or its opposite: the mean of several.
  double sum = 0;
  for (uint64_t seed = 4; seed < 8; ++seed) {
    tests::OneProcess shuffled("verifier", {.seed = seed});
    const double accuracy =
        metric(run_from_file(shuffled, "shuffled", seed), "verifier", "pairwise_accuracy").value;
    sum += accuracy;
  }
  EXPECT_NEAR(sum / 4, 0.5, 0.2);
}

// Judges by a rule instead of running anything: programs with a "return" pass.
sandbox::Record fake_answer(const sandbox::Request& request) {
  sandbox::Record record;
  if (request.observe) {
    record.facts = {{"claimed", {{"loaded", true}, {"attribute", nullptr}}}};
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
  config.data.problems = {"mbpp", source / "jobs/data/functions/problems.jsonl.gz"};
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
  tests::LateJudge judge(fake_answer);
  verifier::Setup setup{
      config,
      4,
      load_problems(config, 4),
      load_generator(config.generation, lm::load_model(config.generation.model, {})),
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
  // Each verdict is that of the program beside it, and a program of its own problem's answers.
  int64_t passing = 0;
  for (const auto& row : tests::rows_of(one.out(), "verifier/candidates")) {
    sandbox::Request request;
    request.program = row["program"];
    const auto expected = fake_answer(request).verdict;
    EXPECT_EQ(row["verdict"], sandbox::name(expected)) << row["program"];
    EXPECT_EQ(row["passes"], expected == sandbox::Verdict::pass);
    passing += row["passes"].get<bool>() ? 1 : 0;
  }
  EXPECT_GT(passing, 0);
  EXPECT_LT(passing, 12 * 6 + 4 * 4);
  EXPECT_GT(judge.out_of_order(), 10);
  // Three arms, and the problems of validation and test.
  EXPECT_EQ(rows["verifier/energies"], 3 * (6 * 6 + 4 * 4));
  EXPECT_GT(rows["verifier/training"], 0);
  EXPECT_GT(rows["verifier/pairs"], 0);
  // What was written for later training reads back.
  const auto written = data::read_candidates(one.out() / "candidates.jsonl");
  EXPECT_EQ(static_cast<int64_t>(written.size()), rows["verifier/candidates"]);
}

}  // namespace
}  // namespace preimage::verifier
