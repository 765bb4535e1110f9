// Rates at the shapes of a 7B model (d 3584, 28 heads and 4 key/value heads of 128, inner 18,944,
// vocabulary 152,064) and 11,520 tokens: 128 pairs of a prompt of 49 and one of 41.
#include <algorithm>
#include <functional>
#include <vector>

#include <ATen/cuda/CUDAEvent.h>
#include <torch/csrc/autograd/autograd.h>

#include "cuda/kernels.hpp"
#include "gpu_check.hpp"
#include "preimage/nn/attention.hpp"
#include "preimage/nn/layers.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::bench {
namespace {

constexpr int64_t kTokens = 11520;
constexpr int64_t kPredicted = 3072;
constexpr auto kHalf = at::kBFloat16;

// Median milliseconds of 15 runs, after three.
double time_of(const std::function<void()>& work) {
  for (int i = 0; i < 3; ++i) work();
  std::vector<float> times;
  for (int i = 0; i < 15; ++i) {
    at::cuda::CUDAEvent begin(cudaEventDefault), end(cudaEventDefault);
    begin.record();
    work();
    end.record();
    end.synchronize();
    times.push_back(begin.elapsed_time(end));
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

// What one thing does, against the ceiling measured here.
struct Work {
  const char* name;
  double bytes, operations;  // one of the two
  std::function<void()> run;
};

struct Ceilings {
  double bytes, operations;  // a second
};

void print(const Work& work, const Ceilings& ceilings) {
  const double ms = time_of(work.run);
  const bool moves = work.bytes > 0;
  const double rate = (moves ? work.bytes : work.operations) / (ms * 1e-3);
  std::printf("%-40s %9.3f ms  %7.0f %s  %5.1f %%\n", work.name, ms, rate / (moves ? 1e9 : 1e12),
              moves ? "GB/s   " : "TFLOP/s",
              100 * rate / (moves ? ceilings.bytes : ceilings.operations));
  std::fflush(stdout);
}

Ceilings measure_ceilings(Randoms& random) {
  const auto from = random.normal({int64_t{1} << 28}, at::kFloat);
  auto to = at::empty_like(from);
  const double copy = time_of([&] { to.copy_(from); });
  const auto a = random.normal({8192, 8192}, kHalf), b = random.normal({8192, 8192}, kHalf);
  auto c = at::empty_like(a);
  const double product = time_of([&] { at::mm_out(c, a, b); });
  const Ceilings ceilings{2.0 * 4 * (int64_t{1} << 28) / (copy * 1e-3),
                          2.0 * 8192 * 8192 * 8192 / (product * 1e-3)};
  std::printf(
      "device copy %.0f GB/s (read + written), at::mm 8192^3 %.0f TFLOP/s; the last column is of "
      "these\n",
      ceilings.bytes / 1e9, ceilings.operations / 1e12);
  return ceilings;
}

void print_kernels(Randoms& random, const Ceilings& ceilings) {
  constexpr int64_t d = 3584, inner = 18944, width = 4608, vocabulary = 152064, rows = 882;
  const auto x = random.normal({kTokens, d}, kHalf), dy = random.normal({kTokens, d}, kHalf),
             weight = random.normal({d}, kHalf);
  auto y = at::empty_like(x), rstd = at::empty({kTokens}, x.options().dtype(at::kFloat));
  const double elements = 2.0 * kTokens;
  print({"rms_norm", 2 * elements * d, 0, [&] { nn::cuda_rms_norm(x, weight, 1e-6, y, rstd); }},
        ceilings);
  print({"rms_norm backward", 3 * elements * d, 0,
         [&] { nn::cuda_rms_norm_backward(dy, x, weight, rstd, y); }},
        ceilings);

  const auto gate_up = random.normal({kTokens, 2 * inner}, kHalf),
             d_out = random.normal({kTokens, inner}, kHalf);
  auto out = at::empty_like(d_out), d_gate_up = at::empty_like(gate_up);
  print({"swiglu", 3 * elements * inner, 0, [&] { nn::cuda_swiglu(gate_up, out); }}, ceilings);
  print({"swiglu backward", 5 * elements * inner, 0,
         [&] { nn::cuda_swiglu_backward(d_out, gate_up, d_gate_up); }},
        ceilings);

  const auto qkv = random.normal({kTokens, width}, kHalf),
             table = random.normal({64, 64}, at::kFloat);
  const auto positions = random.below(64, kTokens);
  auto turned = at::empty_like(qkv);
  print({"rotary", 2 * elements * width, 0,
         [&] { nn::cuda_rotary(qkv, table, table, positions, 32, 1, turned); }},
        ceilings);

  auto logits = random.normal({rows, vocabulary}, kHalf, 4),
       nll = at::empty({rows}, rstd.options());
  const auto targets = random.below(vocabulary, rows), weights = random.normal({rows}, at::kFloat);
  print({"softmax_nll, 882 rows", 2.0 * rows * vocabulary, 0,
         [&] { nn::cuda_softmax_nll(logits, targets, weights, false, nll); }},
        ceilings);
  // In place on its own results: other numbers, the same work.
  print({"softmax_nll with gradient (3 passes)", 3 * 2.0 * rows * vocabulary, 0,
         [&] { nn::cuda_softmax_nll(logits, targets, weights, true, nll); }},
        ceilings);
}

void print_linear(Randoms& random, const Ceilings& ceilings) {
  struct Shape {
    const char* name;
    int64_t rows, out, in;
  };
  for (const auto& shape :
       {Shape{"qkv", kTokens, 4608, 3584}, Shape{"output", kTokens, 3584, 3584},
        Shape{"gate-up", kTokens, 37888, 3584}, Shape{"down", kTokens, 3584, 18944},
        Shape{"vocabulary, 3072 rows", kPredicted, 152064, 3584}}) {
    const nn::Weight weight(random.normal({shape.out, shape.in}, kHalf, 0.02));
    const auto x = random.normal({shape.rows, shape.in}, kHalf),
               dy = random.normal({shape.rows, shape.out}, kHalf);
    const double operations = 2.0 * static_cast<double>(shape.rows * shape.out * shape.in);
    const std::string name = std::string("linear ") + shape.name;
    const auto line = [&](const char* what, const std::function<void()>& run) {
      const auto label = name + what;
      print({label.c_str(), 0, operations, run}, ceilings);
    };
    line("", [&] { nn::linear(x, weight); });
    line(" (cuBLAS, free choice)", [&] { nn::plain_linear(x, weight.matrix(), {}); });
    line(" input gradient", [&] { nn::linear_input_gradient(dy, weight); });
    line(" input gradient (cuBLAS)", [&] { at::mm(dy, weight.matrix()); });
  }
}

void print_attention(Randoms& random, const Ceilings& ceilings) {
  const nn::HeadLayout heads{28, 4, 128, 0.08838834764831845};
  std::vector<int64_t> lengths;
  for (int i = 0; i < 128; ++i) lengths.push_back(49), lengths.push_back(41);
  const auto packing = nn::make_packing(lengths, at::kCUDA);
  const auto qkv = random.normal({kTokens, heads.width()}, kHalf);
  const double row = 2.0 * kTokens * 128;
  print({"attention, 256 sequences of 49 and 41", row * (36 + 28), 0,
         [&] { nn::attention(qkv, heads, packing); }},
        ceilings);
  const auto leaf = qkv.clone().requires_grad_();
  const auto out = nn::attention(leaf, heads, packing), dy = at::ones_like(out);
  print({"attention backward", row * (36 + 28 + 28 + 36), 0,
         [&] { torch::autograd::grad({out}, {leaf}, {dy}, /*retain_graph=*/true); }},
        ceilings);
}

}  // namespace

void print_rates(Randoms& random) {
  const auto ceilings = measure_ceilings(random);
  print_kernels(random, ceilings);
  print_linear(random, ceilings);
  print_attention(random, ceilings);
}

}  // namespace preimage::bench
