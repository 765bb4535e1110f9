// Generations of different prompts of 40 tokens evaluated, answers and targets of 300: unique
// evaluations a second, and the share of time inside the model, while threads compare and the
// sandbox judges.
//
//   evaluator_bench [cuda|cpu] [POPULATION] [GENERATIONS]      (from the repository root)
//
// cuda: the shape of Qwen2.5-7B in bfloat16 with random weights; cpu: pocket-coder. Neither writes
// the program that is looked for: the sandbox is given, for each answer, one of the variants of a
// program that a search meets (the target, a rewrite, wrong ones, text that does not parse), with a
// number in it that makes every tenth one new.
#include <ATen/ATen.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "preimage/base/budget.hpp"
#include "preimage/base/random.hpp"
#include "preimage/eval/code_judge.hpp"
#include "preimage/eval/prompt_evaluator.hpp"
#include "preimage/sandbox/pool.hpp"
#include "preimage/text/copying.hpp"
#include "preimage/text/similarity.hpp"

namespace preimage::eval {
namespace {

constexpr int64_t kPrompt = 40, kAnswer = 300, kTokens = 2000;  // ids that every model here has
const char* const kProgram =
    "def running_total(values, start):\n    total = start\n    out = []\n    for value in values:\n"
    "        total += value\n        out.append(total)\n    return out";

std::shared_ptr<const lm::Model> random_model() {
  lm::ModelConfig c;
  c.family = "qwen2";
  c.hidden_size = 3584, c.intermediate_size = 18944, c.layers = 28;
  c.query_heads = 28, c.kv_heads = 4, c.head_dim = 128;
  c.vocab_size = 152064, c.max_position_embeddings = 32768;
  c.rms_norm_eps = 1e-6, c.qkv_bias = true, c.rope.theta = 1e6;
  c.stored_dtype = "bfloat16";
  return lm::build_model(c, [](const std::string& name, at::IntArrayRef shape) {
    const auto options = at::TensorOptions().device(at::kCUDA).dtype(at::kBFloat16);
    if (name.find("norm") != std::string::npos) return at::ones(shape, options);
    return at::randn(shape, options).mul_(0.02);
  });
}

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

void run(sandbox::Judge& sandbox, bool cuda, int64_t population, int64_t generations) {
  const std::string folder = "jobs/models/pocket-coder";  // of the large model the tokenizer alone
  const auto model =
      load_text_model(folder, cuda ? random_model() : lm::load_model(folder, {}), false);
  std::vector<CodeTarget> targets = {{.id = "t", .code = kProgram}};
  make_probes(sandbox, targets);
  CodeJudge code(sandbox, targets);
  Variants judge(code);
  const auto target = random_ids("target", kAnswer);
  const text::SequenceMatcher matcher{std::span<const int64_t>(target)};
  const Scorer score = [&](const PromptRequest&, const Answer& answer) -> base::Json {
    const std::string text(1200, 'x');  // as long as the answer's text would be
    return {{"lcs", matcher.lcs_length(std::span<const int64_t>(answer.ids))},
            {"edit", text::edit_similarity(text, answer.hash + kProgram)},
            {"copying", text::copying("add up all values as they come", kProgram).overlap}};
  };
  PromptEvaluator evaluator(
      {model, {}, score, &judge},
      {.batch = population, .longest = kPrompt + kAnswer + 1, .threads = 4, .margins = true});
  double begin = 0, model_before = 0;
  int64_t done = 0;
  for (int64_t g = -1; g < generations; ++g) {  // the first warms up
    if (g == 0) begin = base::monotonic_seconds(), model_before = evaluator.model_seconds();
    for (int64_t i = 0; i < population; ++i) {
      PromptRequest request{.prompt = random_ids(std::to_string(g * population + i), kPrompt),
                            .target = "t",
                            .max_new_tokens = kAnswer};
      request.target_ids = target;
      evaluator.submit(std::move(request));
    }
    while (evaluator.next()) done += g >= 0 ? 1 : 0;
  }
  const double seconds = base::monotonic_seconds() - begin;
  std::printf(
      "{\"population\": %ld, \"evaluations_per_s\": %.2f, \"tokens_per_s\": %.0f, "
      "\"model_share\": %.3f, \"probes\": %zu}\n",
      static_cast<long>(population), static_cast<double>(done) / seconds,
      static_cast<double>(done * kAnswer) / seconds,
      (evaluator.model_seconds() - model_before) / seconds, targets[0].probes.size());
}

}  // namespace
}  // namespace preimage::eval

int main(int argc, char** argv) {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  try {
    auto supervisor = preimage::sandbox::start_supervisor();  // before any thread
    preimage::sandbox::Pool pool(supervisor, {});
    preimage::eval::run(pool, argc < 2 || std::string(argv[1]) == "cuda",
                        argc > 2 ? std::atoll(argv[2]) : 200, argc > 3 ? std::atoll(argv[3]) : 3);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "evaluator_bench: %s\n", error.what());
    return 70;
  }
  return 0;
}
