// The part of gpu_check about matrices in few bits and mixtures of experts: the kernels that decode
// on the way to the tensor cores and take all experts at once, beside products with the decoded
// matrices and expert after expert, bit for bit; then their rates.
#include <algorithm>
#include <cstdio>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/cuda/CUDAEvent.h>

#include "gpu_check.hpp"
#include "preimage/nn/layers.hpp"
#include "preimage/nn/linear.hpp"
#include "preimage/nn/moe.hpp"

namespace preimage::bench {
namespace {

using nn::NarrowMatrix;
using Codes = NarrowMatrix::Codes;

double unlike(const at::Tensor& a, const at::Tensor& b) {
  return (a != b).to(at::kFloat).mean().item<double>();
}

const char* name_of(Codes format) {
  switch (format) {
    case Codes::int8:
      return "int8";
    case Codes::fp8:
      return "fp8";
    case Codes::int4:
      return "int4";
    case Codes::mxfp4:
      return "mxfp4";
  }
  return "";
}

NarrowMatrix narrow(Codes format, int64_t rows, int64_t columns, Randoms& random) {
  if (format == Codes::int8) {
    return nn::quantize_rows(random.normal({rows, columns}, at::kFloat, 0.02), format);
  }
  NarrowMatrix m{.format = format, .rows = rows, .columns = columns};
  if (format == Codes::fp8) {
    m.block_rows = m.block_columns = 128;
    m.codes = random.normal({rows, columns}, at::kFloat).to(at::kFloat8_e4m3fn);
    m.scales = random.normal({(rows + 127) / 128, (columns + 127) / 128}, at::kFloat, 0.02);
  } else if (format == Codes::int4) {
    m.block_columns = 32;
    m.codes = random.below(int64_t{1} << 32, rows * columns / 8).to(at::kInt).view({rows, -1});
    m.scales = random.normal({rows, columns / 32}, at::kFloat, 0.02);
  } else {
    m.block_columns = 32;
    m.codes = random.below(256, rows * columns / 2).to(at::kByte).view({rows, -1});
    m.scales = (random.below(6, rows * columns / 32) + 117).to(at::kByte).view({rows, -1});
    m.scales.view({-1}).narrow(0, 0, 2).copy_(at::tensor({0, 254}, at::kByte));
  }
  return m;
}

NarrowMatrix tame(NarrowMatrix m) {
  m.scales.view({-1}).narrow(0, 0, 2).fill_(120);
  return m;
}

NarrowMatrix on_cpu(NarrowMatrix m) {
  m.codes = m.codes.cpu(), m.scales = m.scales.cpu();
  return m;
}

// Rows of one product, at numbers of rows on both sides of the change of ways.
std::string dependent_rows(const nn::Weight& weight, const at::Tensor& x, const at::Tensor& whole) {
  std::string wrong;
  for (const int64_t rows : {1, 3, 16, 17, 64, 65, 128, 129, 300}) {
    const auto part = nn::linear(x.narrow(0, 5, rows), weight);
    if (!same_bits(part, whole.narrow(0, 5, rows))) wrong += std::to_string(rows) + " ";
  }
  return wrong;
}

void check_narrow(Codes format, Randoms& random, Findings& findings) {
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{1152, 640}, {2880, 2880}, {96, 4064}}) {
    const auto m = narrow(format, out, in, random);
    const auto name = base::str(name_of(format), " ", out, " x ", in);
    findings.add(name + " decoded, share unlike the CPU's",
                 unlike(nn::decode_rows(m, 0, out, at::kBFloat16).cpu(),
                        nn::decode_rows(on_cpu(m), 0, out, at::kBFloat16)),
                 0);
    // A product with the scale 2^127 is not finite.
    const auto finite = format == Codes::mxfp4 ? tame(m) : m;
    const auto dense = nn::decode_rows(finite, 0, out, at::kBFloat16);
    const auto bias = random.normal({out}, at::kBFloat16);
    const nn::Weight weight(finite, bias), plain(dense, bias);
    const auto x = random.normal({600, in}, at::kBFloat16);
    const auto whole = nn::linear(x, weight);
    findings.add(name + " product",
                 relative_error(whole, nn::plain_linear(x.to(at::kDouble), dense.to(at::kDouble),
                                                        bias.to(at::kDouble))),
                 1e-2, dependent_rows(weight, x, whole));
    const auto few = x.narrow(0, 0, 64);
    findings.add(name + " product of 64 rows, share unlike the decoded matrix'",
                 unlike(nn::linear(few, weight), nn::linear(few, plain)), 0);
  }
}

// Products of E4M3 numbers on both sides: rows rounded as on the CPU, sums beside those in double.
void check_eight_bits(Randoms& random, Findings& findings) {
  for (const auto& [out, in] :
       {std::pair<int64_t, int64_t>{1152, 640}, {4608, 3584}, {96, 4064}, {3584, 18944}}) {
    auto m = nn::quantize_rows(random.normal({out, in}, at::kFloat, 0.02), Codes::fp8);
    m.rounds_input = true;
    const auto name = base::str("e4m3 x e4m3 ", out, " x ", in);
    const auto x = random.normal({600, in}, at::kBFloat16);
    const auto rows = nn::quantize_rows(x, Codes::fp8);
    const auto on_host = nn::quantize_rows(x.cpu(), Codes::fp8);
    findings.add(name + ", rows unlike the CPU's",
                 unlike(rows.codes.cpu().view(at::kByte), on_host.codes.view(at::kByte)) +
                     unlike(rows.scales.cpu(), on_host.scales),
                 0);
    const auto bias = random.normal({out}, at::kBFloat16);
    const nn::Weight weight(m, bias);
    const auto whole = nn::linear(x, weight);
    const auto exact = at::mm(rows.codes.to(at::kDouble), m.codes.to(at::kDouble).t()) *
                           rows.scales * m.scales.t() +
                       bias.to(at::kDouble);
    findings.add(name, relative_error(whole, exact), 1e-2, dependent_rows(weight, x, whole));
  }
}

struct Experts {
  const char* name;
  bool mxfp4;
  int64_t count, k, width, inner;
};

nn::ExpertLayers make_experts(const Experts& e, Randoms& random) {
  std::vector<nn::Weight> first, second;
  for (int64_t i = 0; i < e.count; ++i) {
    const auto make = [&](int64_t out, int64_t in) {
      const auto bias = random.normal({out}, at::kBFloat16);
      if (e.mxfp4)
        return nn::stacked({nn::Weight(tame(narrow(Codes::mxfp4, out, in, random)))}, bias);
      return nn::Weight(random.normal({out, in}, at::kBFloat16, 0.02), bias);
    };
    first.push_back(make(2 * e.inner, e.width));
    second.push_back(make(e.width, e.inner));
  }
  return {std::move(first), std::move(second),
          [](const at::Tensor& x) { return nn::clamped_swiglu(x, 7, 1.702); }};
}

void check_experts(const Experts& e, Randoms& random, Findings& findings) {
  const auto layers = make_experts(e, random);
  const auto x = random.normal({700, e.width}, at::kBFloat16);
  const auto logits = random.normal({700, e.count}, at::kBFloat16);
  const auto ours = [&](int64_t first, int64_t rows) {
    return nn::mixture(x.narrow(0, first, rows),
                       nn::route_softmax(logits.narrow(0, first, rows), e.k), layers);
  };
  const auto whole = ours(0, 700);
  const auto one_by_one =
      nn::mixture(x, nn::route_softmax(logits, e.k),
                  [&](int64_t expert, const at::Tensor& rows) { return layers.of(expert, rows); });
  std::string wrong;
  for (const int64_t rows : {1, 2, 7, 64, 200, 513}) {
    if (!same_bits(ours(37, rows), whole.narrow(0, 37, rows))) wrong += std::to_string(rows) + " ";
  }
  const auto name = base::str("experts ", e.name);
  findings.add(name + " on the device", layers.on_device(at::kBFloat16) ? 0 : 1, 0, wrong);
  findings.add(name + ", share unlike expert after expert", unlike(whole, one_by_one), 0);
}

void check_pieces(Randoms& random, Findings& findings) {
  const auto rows = random.normal({500, 5760}, at::kBFloat16, 3);
  const auto graph = rows.clone().requires_grad_();
  at::Tensor plain, plain_norm;
  const auto weight = random.normal({5760}, at::kBFloat16);
  {
    const at::AutoGradMode grad(true);
    plain = nn::clamped_swiglu(graph, 7, 1.702).detach();
    plain_norm = nn::wide_rms_norm(graph, weight, 1e-5).detach();
  }
  findings.add("clamped swiglu bf16, share unlike the plain form",
               unlike(nn::clamped_swiglu(rows, 7, 1.702), plain), 1e-4);
  findings.add("wide rms_norm bf16, share unlike the plain form",
               unlike(nn::wide_rms_norm(rows, weight, 1e-5), plain_norm), 1e-3);
  // Ties, and scores of -inf: the first of each.
  const auto scores = random.below(5, 300 * 40).view({300, 40}).to(at::kFloat);
  const auto chosen = nn::route_softmax(scores, 6).experts.cpu();
  const auto host = scores.cpu();
  double wrong = 0;
  for (int64_t r = 0; r < 300; ++r) {
    std::vector<int64_t> order(40);
    for (int64_t i = 0; i < 40; ++i) order[static_cast<size_t>(i)] = i;
    const float* row = host.const_data_ptr<float>() + r * 40;
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return row[a] > row[b]; });
    std::sort(order.begin(), order.begin() + 6);
    wrong +=
        !std::equal(order.begin(), order.begin() + 6, chosen.const_data_ptr<int64_t>() + r * 6);
  }
  findings.add("experts chosen among ties, rows unlike a stable sort", wrong, 0);
}

double time_of(const std::function<void()>& work) {
  for (int i = 0; i < 3; ++i) work();
  std::vector<float> times;
  for (int i = 0; i < 11; ++i) {
    at::cuda::CUDAEvent begin(cudaEventDefault), end(cudaEventDefault);
    begin.record();
    work();
    end.record();
    end.synchronize();
    times.push_back(begin.elapsed_time(end));
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace

void check_experts(Randoms& random, Findings& findings) {
  const at::NoGradGuard no_grad;
  for (const auto format : {Codes::int8, Codes::fp8, Codes::int4, Codes::mxfp4})
    check_narrow(format, random, findings);
  check_eight_bits(random, findings);
  check_experts({"bf16, 8 of 256 x 256", false, 8, 4, 256, 256}, random, findings);
  check_experts({"mxfp4, 8 of 288 x 352", true, 8, 2, 288, 352}, random, findings);
  check_experts({"mxfp4, 32 of 2880 x 2880", true, 32, 4, 2880, 2880}, random, findings);
  check_pieces(random, findings);
}

// One layer of gpt-oss-20b. Bytes: 423 MB of codes and scales where every expert is met; operations
// 2 x 4 x 24.9 M a token.
void print_expert_rates() {
  const at::NoGradGuard no_grad;
  Randoms random;
  const auto layers = make_experts({"", true, 32, 4, 2880, 2880}, random);
  for (const int64_t tokens : {1, 8, 64, 200, 512, 8192}) {
    const auto x = random.normal({tokens, 2880}, at::kBFloat16);
    const auto routing = nn::route_softmax(random.normal({tokens, 32}, at::kBFloat16), 4);
    const double ms = time_of([&] { nn::mixture(x, routing, layers); });
    std::printf("experts of gpt-oss-20b, %5lld tokens       %9.3f ms  %7.0f GB/s  %7.0f TFLOP/s\n",
                static_cast<long long>(tokens), ms, 32 * 3 * 2880.0 * 2880 * 4.25 / 8 / ms * 1e-6,
                2.0 * static_cast<double>(tokens) * 4 * 3 * 2880 * 2880 / ms * 1e-9);
  }
  const auto m = narrow(Codes::fp8, 37888, 3584, random);
  const nn::Weight weights[] = {nn::Weight(m),
                                nn::Weight(nn::decode_rows(m, 0, m.rows, at::kBFloat16))};
  auto both = nn::quantize_rows(weights[1].matrix(), Codes::fp8);
  both.rounds_input = true;
  const nn::Weight eight_bits(both);
  for (const int64_t rows : {1, 16, 64, 128, 256, 512, 8192}) {
    const auto x = random.normal({rows, 3584}, at::kBFloat16);
    std::printf("7B gate-up, %5lld rows: fp8 %9.3f ms, both in fp8 %9.3f ms, bf16 %9.3f ms\n",
                static_cast<long long>(rows), time_of([&] { nn::linear(x, weights[0]); }),
                time_of([&] { nn::linear(x, eight_bits); }),
                time_of([&] { nn::linear(x, weights[1]); }));
  }
  for (const int64_t rows : {4672, 37888}) {
    std::printf("decode of %lld x 3584 fp8: %9.3f ms\n", static_cast<long long>(rows),
                time_of([&] { nn::decode_rows(m, 0, rows, at::kBFloat16); }));
  }
  const nn::Weight slice(nn::decode_rows(m, 0, 4672, at::kBFloat16));
  const auto x = random.normal({512, 3584}, at::kBFloat16);
  std::printf("512 rows of 4672 columns: %9.3f ms\n", time_of([&] { nn::linear(x, slice); }));
  const nn::Weight down(random.normal({2560, 9728}, at::kBFloat16, 0.02));
  for (const int64_t few : {1, 16, 64, 128}) {
    const auto z = random.normal({few, 9728}, at::kBFloat16);
    std::printf("4B down, %3lld rows: %9.3f ms\n", static_cast<long long>(few),
                time_of([&] { nn::linear(z, down); }));
  }
  std::fflush(stdout);
}

}  // namespace preimage::bench
