// The batched optimiser on one GPU: shape of Qwen2.5-7B, random bfloat16 weights, K 32, a question
// of 16 tokens and an answer of 8. Prints pair-steps and TFLOP per second beside an 8192^3 at::mm
// of the same run, and whether pairs run alone have the bits they have in a batch.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>

#include "experiments/dcm/optimiser.hpp"

namespace preimage::dcm {
namespace {

constexpr int64_t kHidden = 3584, kVocabulary = 152064, kSlots = 32;
constexpr double kTeraflopOfPairStep =
    2.406;  // linear layers, head and attention, forward and back

at::TensorOptions on_gpu(at::ScalarType dtype) {
  return at::TensorOptions().device(at::kCUDA).dtype(dtype);
}

double seconds_of(const std::function<void()>& work) {
  if (cudaDeviceSynchronize() != cudaSuccess) std::abort();
  const auto begin = std::chrono::steady_clock::now();
  work();
  if (cudaDeviceSynchronize() != cudaSuccess) std::abort();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

lm::ModelConfig qwen_7b() {
  lm::ModelConfig c;
  c.family = "qwen2";
  c.hidden_size = kHidden, c.intermediate_size = 18944, c.layers = 28;
  c.query_heads = 28, c.kv_heads = 4, c.head_dim = 128;
  c.vocab_size = kVocabulary, c.max_position_embeddings = 32768;
  c.rms_norm_eps = 1e-6, c.qkv_bias = true, c.rope.theta = 1e6;
  c.stored_dtype = "bfloat16";
  return c;
}

std::shared_ptr<const lm::Model> random_model() {
  return lm::build_model(qwen_7b(), [](const std::string& name, at::IntArrayRef shape) {
    if (name.find("norm") != std::string::npos) return at::ones(shape, on_gpu(at::kBFloat16));
    return at::randn(shape, on_gpu(at::kBFloat16)).mul_(0.02);
  });
}

SoftPromptProblem problem(int64_t tag) {
  const auto text = [&](int64_t tokens, int64_t salt) {
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < tokens; ++i)
      ids.push_back(((tag * 31 + i) * 7919 + salt) % kVocabulary);
    return ids;
  };
  SoftPromptProblem p;
  p.tag = tag;
  const auto order = at::arange(kSlots * kHidden, at::kFloat).add_(static_cast<double>(tag));
  p.initial = order.sin_().mul_(0.02).view({kSlots, kHidden});
  p.sides = {Side{kQuestion, {Target{text(16, 1)}}}, Side{kAnswer, {Target{text(8, 5)}}}};
  return p;
}

Optimiser optimiser(const std::shared_ptr<const lm::Model>& model, int64_t steps) {
  OptimiserOptions options;
  options.schedule.steps = steps;
  return Optimiser(model, model->embedding_table().slice(0, 0, 2), options);
}

// The trajectories of pairs `first` .. `last` - 1 over three steps.
std::vector<Trajectory> short_run(const std::shared_ptr<const lm::Model>& model, int64_t first,
                                  int64_t last) {
  auto batch = optimiser(model, 3);
  for (int64_t i = first; i < last; ++i) batch.add(problem(i));
  std::vector<Trajectory> all;
  for (int turn = 0; turn < 8 && !batch.empty(); ++turn) {
    for (auto& t : batch.run(3)) all.push_back(std::move(t));
  }
  return all;
}

bool alone_as_in_batch(const std::shared_ptr<const lm::Model>& model) {
  const auto batch = short_run(model, 0, 32);
  for (const int64_t tag : {0, 17}) {
    const auto alone = short_run(model, tag, tag + 1);
    const auto same = [&](const Trajectory& t) {
      return t.tag == tag && t.loss == alone.at(0).loss && !t.diverged;
    };
    if (alone.at(0).loss[0].empty() || std::none_of(batch.begin(), batch.end(), same)) return false;
  }
  return true;
}

double mm_teraflops() {
  const auto a = at::randn({8192, 8192}, on_gpu(at::kBFloat16)),
             b = at::randn({8192, 8192}, on_gpu(at::kBFloat16));
  auto out = at::empty_like(a);
  for (int i = 0; i < 5; ++i) at::mm_out(out, a, b);
  std::vector<double> times;
  for (int i = 0; i < 15; ++i) times.push_back(seconds_of([&] { at::mm_out(out, a, b); }));
  return 2.0 * 8192 * 8192 * 8192 / median(times) * 1e-12;
}

void measure(const std::shared_ptr<const lm::Model>& model, int64_t pairs, double ceiling) {
  auto batch = optimiser(model, 500);
  for (int64_t i = 0; i < pairs; ++i) batch.add(problem(i));
  batch.run(3);
  std::vector<double> times;
  const double before = batch.pair_steps();
  for (int i = 0; i < 10; ++i) times.push_back(seconds_of([&] { batch.run(1); }));
  const double rate = (batch.pair_steps() - before) / 10 / median(times),
               tera = rate * kTeraflopOfPairStep;
  size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) std::abort();
  std::printf(
      "{\"pairs\": %ld, \"pair_steps_per_second\": %.1f, \"tflops\": %.1f, \"of_mm\": %.3f, "
      "\"used_gib\": %.1f}\n",
      static_cast<long>(pairs), rate, tera, tera / ceiling,
      static_cast<double>(total - free) / (1 << 30));
  std::fflush(stdout);
}

void run() {
  const auto model = random_model();
  const double ceiling = mm_teraflops();
  std::printf("{\"mm_8192_tflops\": %.1f}\n", ceiling);
  for (const int64_t pairs : {32, 64, 128, 192}) measure(model, pairs, ceiling);
  std::printf("{\"alone_as_in_batch\": %s}\n", alone_as_in_batch(model) ? "true" : "false");
}

}  // namespace
}  // namespace preimage::dcm

int main() {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  try {
    preimage::dcm::run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dcm_gpu_bench: %s\n", error.what());
    return 70;
  }
  return 0;
}
