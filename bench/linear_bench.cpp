// nn::linear against at::linear, and both against a 2048^3 at::mm, on one thread or two.
#include <benchmark/benchmark.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "preimage/nn/linear.hpp"

namespace {

using preimage::nn::Weight;

void report(benchmark::State& state, double flop) {
  state.counters["GFLOP/s"] =
      benchmark::Counter(flop * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void BM_AtMm2048(benchmark::State& state) {
  at::set_num_threads(static_cast<int>(state.range(0)));
  const auto a = at::ones({2048, 2048}), b = at::ones({2048, 2048});
  for (auto _ : state) benchmark::DoNotOptimize(at::mm(a, b));
  report(state, 2.0 * 2048 * 2048 * 2048);
}
BENCHMARK(BM_AtMm2048)->Arg(1)->Arg(2)->UseRealTime();

// Arguments: threads, rows, in, out.
template <bool kOurs>
void BM_Linear(benchmark::State& state) {
  c10::InferenceMode guard;
  at::set_num_threads(static_cast<int>(state.range(0)));
  const auto x = at::ones({state.range(1), state.range(2)}),
             matrix = at::ones({state.range(3), state.range(2)});
  const Weight weight(matrix);
  for (auto _ : state) {
    benchmark::DoNotOptimize(kOurs ? preimage::nn::linear(x, weight) : at::linear(x, matrix));
  }
  report(state, 2.0 * static_cast<double>(state.range(1) * state.range(2) * state.range(3)));
}
void shapes(benchmark::internal::Benchmark* bench) {
  for (const int threads : {1, 2}) {
    for (const int rows : {1, 16, 64, 256, 600}) {
      bench->Args({threads, rows, 256, 1536})
          ->Args({threads, rows, 768, 256})
          ->Args({threads, rows, 256, 6144});
    }
  }
}
BENCHMARK(BM_Linear<true>)->Apply(shapes)->UseRealTime();
BENCHMARK(BM_Linear<false>)->Apply(shapes)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
