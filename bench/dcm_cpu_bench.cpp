// The batched optimiser on the CPU with a model folder's real weights in float32: K 8, a question
// of 18 tokens and an answer of 9 (the means of jobs/quick/dcm.json). Usage: dcm_cpu_bench MODEL
// THREADS. One JSON line for each batch: pair-steps and GFLOP per second, and the fraction of a
// 2048^3 float32 at::mm measured before and after it with the same threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>

#include "experiments/dcm/optimiser.hpp"

namespace preimage::dcm {
namespace {

constexpr int64_t kSlots = 8, kQuestionTokens = 18, kAnswerTokens = 9;

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Products only, forward and to the input: 4 operations a weight and token of the layers, and of
// the vocabulary for tokens that are predicted.
double gflop_of_pair_step(const lm::ModelConfig& c) {
  const double d = static_cast<double>(c.hidden_size);
  const double heads = static_cast<double>((c.query_heads + 2 * c.kv_heads) * c.head_dim);
  const double output = static_cast<double>(c.query_heads * c.head_dim);
  const double layer = d * heads + output * d + 3 * d * static_cast<double>(c.intermediate_size);
  const double tokens = 2 * kSlots + kQuestionTokens + kAnswerTokens;
  const double predicted = kQuestionTokens + kAnswerTokens;
  return 4e-9 * (tokens * static_cast<double>(c.layers) * layer +
                 predicted * d * static_cast<double>(c.vocab_size));
}

SoftPromptProblem problem(int64_t tag, const lm::ModelConfig& c) {
  const auto text = [&](int64_t tokens, int64_t salt) {
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < tokens; ++i)
      ids.push_back(((tag * 31 + i) * 7919 + salt) % c.vocab_size);
    return ids;
  };
  SoftPromptProblem p;
  p.tag = tag;
  const auto order = at::arange(kSlots * c.hidden_size, at::kFloat).add_(static_cast<double>(tag));
  p.initial = order.sin_().mul_(0.02).view({kSlots, c.hidden_size});
  p.sides = {Side{kQuestion, {Target{text(kQuestionTokens, 1)}}},
             Side{kAnswer, {Target{text(kAnswerTokens, 5)}}}};
  return p;
}

double mm_gflops() {
  const auto a = at::rand({2048, 2048}), b = at::rand({2048, 2048});
  auto out = at::empty_like(a);
  at::mm_out(out, a, b);
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) times.push_back(seconds_of([&] { at::mm_out(out, a, b); }));
  return 2e-9 * 2048.0 * 2048.0 * 2048.0 / median(times);
}

void measure(const std::shared_ptr<const lm::Model>& model, int64_t pairs) {
  OptimiserOptions options;
  options.schedule.steps = 1 << 20;
  Optimiser batch(model, model->embedding_table().slice(0, 0, 2), options);
  for (int64_t i = 0; i < pairs; ++i) batch.add(problem(i, model->config()));
  batch.run(2);
  const double before = mm_gflops();
  std::vector<double> times;
  double spent = 0;
  while (times.size() < 5 || (spent < 2 && times.size() < 200)) {
    times.push_back(seconds_of([&] { batch.run(1); }));
    spent += times.back();
  }
  const double ceiling = (before + mm_gflops()) / 2;
  const double rate = static_cast<double>(pairs) / median(times);
  const double gflops = rate * gflop_of_pair_step(model->config());
  std::printf(
      "{\"pairs\": %ld, \"threads\": %d, \"pair_steps_per_second\": %.1f, \"step_ms\": %.2f, "
      "\"gflops\": %.1f, \"mm_2048_gflops\": %.1f, \"of_mm\": %.3f}\n",
      static_cast<long>(pairs), at::get_num_threads(), rate, 1e3 * median(times), gflops, ceiling,
      gflops / ceiling);
  std::fflush(stdout);
}

}  // namespace
}  // namespace preimage::dcm

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: dcm_cpu_bench MODEL_FOLDER THREADS\n");
    return 64;
  }
  try {
    at::set_num_threads(std::atoi(argv[2]));
    const auto model = preimage::lm::load_model(argv[1], {});
    for (const int64_t pairs : {1, 4, 16, 64}) preimage::dcm::measure(model, pairs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dcm_cpu_bench: %s\n", error.what());
    return 70;
  }
  return 0;
}
