// Generations of different prompts of 40 tokens evaluated, answers and targets of 300: unique
// evaluations a second, and the share of time inside the model, while threads compare and the
// sandbox judges.
//
//   evaluator_bench [MODEL] [--device cuda|cpu] [--population 200] [--generations 3] [--prompt 40]
//                   [--answer 300] [--level full|user|none]      (from the repository root)
//
// MODEL: a checkpoint folder, such as bench/random_checkpoint.py writes; pocket-coder without one.
// None writes the program that is looked for: the sandbox is given, for each answer, one of the
// variants of a program that a search meets (the target, a rewrite, wrong ones, text that does not
// parse), with a number in it that makes every tenth one new. --level: the sandbox's walls; none:
// programs are not run, answers are compared alone.
#include <ATen/ATen.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/eval/code_judge.hpp"
#include "preimage/eval/prompt_evaluator.hpp"
#include "preimage/eval/sandbox_config.hpp"
#include "preimage/sandbox/pool.hpp"
#include "preimage/text/copying.hpp"
#include "preimage/text/similarity.hpp"

namespace preimage::eval {
namespace {

constexpr int64_t kTokens = 2000;  // ids that every model here has

struct Options {
  std::string model = "jobs/models/pocket-coder", level = "full";
  bool cuda = false;
  int64_t population = 200, generations = 3, prompt = 40, answer = 300;
};

const char* const kProgram =
    "def running_total(values, start):\n    total = start\n    out = []\n    for value in values:\n"
    "        total += value\n        out.append(total)\n    return out";

std::vector<int64_t> random_ids(const std::string& unit, int64_t count) {
  const base::RandomStream random(1, unit, "bench");
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<int64_t>(random.below(kTokens, static_cast<uint64_t>(i))));
  return ids;
}

// Gives the judge a program in the place of each answer's text.
class Variants : public AnswerJudge {
 public:
  explicit Variants(CodeJudge& judge) : judge_(judge) {}
  int64_t submit(const PromptRequest& request, const Answer& answer) override {
    const std::string program = kProgram, number = std::to_string(count_ / 10);
    const std::vector<std::string> variants = {
        program, program + "\n# " + number,
        "def running_total(values, start):\n    return " + number,
        "def running_total(values, start):\n    return [start + sum(values[:i + 1]) for i in "
        "range(len(values))] + []  # " +
            number,
        "I would write a loop (" + number};
    Answer other = answer;
    other.text = variants[static_cast<size_t>(count_++ % std::ssize(variants))];
    return judge_.submit(request, other);
  }
  std::optional<std::pair<int64_t, base::Json>> next(double timeout_s) override {
    return judge_.next(timeout_s);
  }
  int64_t pending() const override { return judge_.pending(); }

 private:
  CodeJudge& judge_;
  int64_t count_ = 0;
};

// `sandbox` null: no program is run.
void run(sandbox::Judge* sandbox, const Options& o) {
  const lm::LoadOptions load{.dtype = o.cuda ? at::kBFloat16 : at::kFloat,
                             .device = o.cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU),
                             .weights = lm::parse_weight_format("stored")};
  const auto model = load_text_model(o.model, lm::load_model(o.model, load), false);
  std::vector<CodeTarget> targets = {{.id = "t", .code = kProgram}};
  std::optional<CodeJudge> code;
  std::optional<Variants> judge;
  if (sandbox) {
    make_probes(*sandbox, targets);
    judge.emplace(code.emplace(*sandbox, targets));
  }
  const auto target = random_ids("target", o.answer);
  const text::SequenceMatcher matcher{std::span<const int64_t>(target)};
  const Scorer score = [&](const PromptRequest&, const Answer& answer) -> base::Json {
    const std::string text(static_cast<size_t>(4 * o.answer),
                           'x');  // as long as the answer's text would be
    return {{"lcs", matcher.lcs_length(std::span<const int64_t>(answer.ids))},
            {"edit", text::edit_similarity(text, answer.hash + kProgram)},
            {"copying", text::copying("add up all values as they come", kProgram).overlap}};
  };
  PromptEvaluator evaluator(
      {model, {}, score, judge ? &*judge : nullptr},
      {.batch = o.population, .longest = o.prompt + o.answer + 1, .threads = 4, .margins = true});
  double begin = 0, model_before = 0;
  int64_t done = 0;
  for (int64_t g = -1; g < o.generations; ++g) {  // the first warms up
    if (g == 0) begin = base::monotonic_seconds(), model_before = evaluator.model_seconds();
    for (int64_t i = 0; i < o.population; ++i) {
      PromptRequest request{.prompt = random_ids(std::to_string(g * o.population + i), o.prompt),
                            .target = "t",
                            .max_new_tokens = o.answer};
      request.target_ids = target;
      evaluator.submit(std::move(request));
    }
    while (evaluator.next()) done += g >= 0 ? 1 : 0;
  }
  const double seconds = base::monotonic_seconds() - begin;
  std::printf(
      "{\"population\": %ld, \"evaluations_per_s\": %.2f, \"tokens_per_s\": %.0f, "
      "\"model_share\": %.3f, \"probes\": %zu}\n",
      static_cast<long>(o.population), static_cast<double>(done) / seconds,
      static_cast<double>(done * o.answer) / seconds,
      (evaluator.model_seconds() - model_before) / seconds, targets[0].probes.size());
}

Options read_options(int argc, char** argv) {
  Options out;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (!name.starts_with("--")) {
      out.model = name;
      continue;
    }
    if (++i == argc) throw base::config_error(name + ": found nothing behind it");
    const std::string value = argv[i];
    if (name == "--device") {
      out.cuda = value == "cuda";
    } else if (name == "--level") {
      out.level = value;
    } else if (name == "--population") {
      out.population = std::atoll(value.c_str());
    } else if (name == "--generations") {
      out.generations = std::atoll(value.c_str());
    } else if (name == "--prompt") {
      out.prompt = std::atoll(value.c_str());
    } else if (name == "--answer") {
      out.answer = std::atoll(value.c_str());
    } else {
      throw base::config_error(name + ": no such option");
    }
  }
  return out;
}

}  // namespace
}  // namespace preimage::eval

int main(int argc, char** argv) {
  namespace eval = preimage::eval;
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  try {
    auto supervisor = preimage::sandbox::start_supervisor();  // before any thread
    const auto options = eval::read_options(argc, argv);
    std::optional<preimage::sandbox::Pool> pool;
    if (options.level != "none")
      pool.emplace(supervisor, eval::pool_options({.level = options.level}, 0));
    eval::run(pool ? &*pool : nullptr, options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "evaluator_bench: %s\n", error.what());
    return 70;
  }
  return 0;
}
