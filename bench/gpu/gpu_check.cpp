// Checks the CUDA kernels on this machine's GPU against plain ATen forms in float64, and that a
// row's bits depend on no other row; then measures them. Exit code 1 if a check fails.
//   gpu_check [--no-rates] [--rates] [--fixtures tests/lm/fixtures]
#include "gpu_check.hpp"

#include <functional>
#include <string_view>
#include <vector>

#include <ATen/Context.h>
#include <torch/csrc/autograd/autograd.h>

#include "cuda/kernels.hpp"
#include "preimage/nn/attention.hpp"
#include "preimage/nn/layers.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::bench {
namespace {

using Tensors = std::vector<at::Tensor>;
using Function = RowFunction;
using TensorsFunction = std::function<Tensors(const Tensors&)>;

constexpr auto kHalf = at::kBFloat16;
constexpr auto kFull = at::kFloat;
constexpr int64_t kMostRows = 4096;
constexpr int64_t kComparedRows = 257;

std::string name_of(at::ScalarType dtype) {
  return dtype == kHalf ? "bf16" : "f32";
}
double limit_of(at::ScalarType dtype) {
  return dtype == kHalf ? 1e-2 : 1e-5;
}

at::Tensor gradient(const Function& f, const at::Tensor& x, const at::Tensor& dy,
                    const at::Tensor& side) {
  const auto leaf = x.detach().clone().requires_grad_();
  return torch::autograd::grad({f(leaf, side)}, {leaf}, {dy.to(leaf.scalar_type())})[0];
}

// The numbers of rows at which `f` of a slice of its inputs is not the slice of `f` of the whole.
std::string dependent_rows(const TensorsFunction& f, const Tensors& inputs) {
  const auto whole = f(inputs);
  const int64_t all = inputs[0].size(0);
  std::string wrong;
  for (const int64_t rows : {1, 2, 3, 5, 17, 64, 100, 257, 1000, 4096}) {
    if (rows > all) continue;
    const int64_t first = std::min<int64_t>(all - rows, 37);
    Tensors slice;
    for (const auto& input : inputs) {
      slice.push_back(input.defined() ? input.narrow(0, first, rows) : input);
    }
    const auto part = f(slice);
    bool same = true;
    for (size_t i = 0; i < part.size(); ++i) {
      same = same && same_bits(part[i], whole[i].narrow(0, first, rows));
    }
    if (!same) wrong += std::to_string(rows) + " ";
  }
  return wrong;
}

}  // namespace

void check_layer(const Layer& layer, Findings& findings) {
  const int64_t compared = std::min(kComparedRows, layer.x.size(0));
  const auto x = layer.x.narrow(0, 0, compared), dy = layer.dy.narrow(0, 0, compared);
  const auto side = layer.side.defined() ? layer.side.narrow(0, 0, compared) : at::Tensor();
  const auto wide = x.to(at::kDouble);
  const auto dtype = layer.x.scalar_type();
  const auto name = layer.name + " " + name_of(dtype) + " " + std::to_string(x.size(1));
  findings.add(name, relative_error(layer.ours(x, side), layer.plain(wide, side)), limit_of(dtype),
               dependent_rows([&](const Tensors& in) { return Tensors{layer.ours(in[0], in[1])}; },
                              {layer.x, layer.side}));
  findings.add(
      name + " backward",
      relative_error(gradient(layer.ours, x, dy, side), gradient(layer.plain, wide, dy, side)),
      limit_of(dtype),
      dependent_rows(
          [&](const Tensors& in) { return Tensors{gradient(layer.ours, in[0], in[1], in[2])}; },
          {layer.x, layer.dy, layer.side}));
}

namespace {

void check_norms(at::ScalarType dtype, Randoms& random, Findings& findings) {
  for (const int64_t width : {3584, 2560, 256, 100, 1027, 8}) {
    const auto weight = random.normal({width}, dtype);
    check_layer(
        {"rms_norm",
         [&](const at::Tensor& x, const at::Tensor&) { return nn::rms_norm(x, weight, 1e-6); },
         [&](const at::Tensor& x, const at::Tensor&) {
           return x * at::rsqrt(x.square().mean(-1, true) + 1e-6) * weight.to(at::kDouble);
         },
         random.normal({kMostRows, width}, dtype),
         random.normal({kMostRows, width}, dtype),
         {}},
        findings);
  }
}

void check_swiglu(at::ScalarType dtype, Randoms& random, Findings& findings) {
  for (const int64_t inner : {18944, 768, 100, 37}) {
    check_layer({"swiglu",
                 [](const at::Tensor& x, const at::Tensor&) { return nn::swiglu(x); },
                 [](const at::Tensor& x, const at::Tensor&) { return nn::plain_swiglu(x); },
                 random.normal({kMostRows, 2 * inner}, dtype, 3),
                 random.normal({kMostRows, inner}, dtype),
                 {}},
                findings);
  }
}

nn::RotaryTable rotary_table(int64_t positions, int64_t head_dim) {
  const auto frequency =
      at::pow(1e6, at::arange(0, head_dim, 2, at::kDouble) / -static_cast<double>(head_dim));
  const auto angle = at::outer(at::arange(positions, at::kDouble), frequency);
  return {angle.cos().to(kFull).to(at::kCUDA), angle.sin().to(kFull).to(at::kCUDA)};
}

void check_rotary(at::ScalarType dtype, Randoms& random, Findings& findings) {
  struct Heads {
    int64_t query, kv, dim;
  };
  for (const auto& heads : {Heads{28, 4, 128}, Heads{4, 2, 64}, Heads{3, 1, 6}}) {
    const auto table = rotary_table(kMostRows, heads.dim);
    const int64_t width = (heads.query + 2 * heads.kv) * heads.dim, turned = heads.query + heads.kv;
    // Of float64 rows nn::rotary is the plain form.
    const Function f = [&](const at::Tensor& x, const at::Tensor& positions) {
      return nn::rotary(x, table, positions, turned);
    };
    check_layer({"rotary", f, f, random.normal({kMostRows, width}, dtype),
                 random.normal({kMostRows, width}, dtype), random.below(kMostRows, kMostRows)},
                findings);
  }
}

// In bfloat16 the forward passes round where the plain forms round.
void check_rounding(Randoms& random, Findings& findings) {
  const auto x = random.normal({1000, 3584}, kHalf), weight = random.normal({3584}, kHalf);
  const auto share = [](const at::Tensor& a, const at::Tensor& b) {
    return (a != b).to(kFull).mean().item<double>();
  };
  findings.add("rms_norm bf16, share of unlike elements",
               share(nn::rms_norm(x, weight, 1e-6), nn::plain_rms_norm(x, weight, 1e-6)), 1e-3);
  findings.add("swiglu bf16, share of unlike elements", share(nn::swiglu(x), nn::plain_swiglu(x)),
               1e-3);
  const auto table = rotary_table(1000, 128);
  const auto cos = table.cos.to(kHalf).unsqueeze(1), sin = table.sin.to(kHalf).unsqueeze(1);
  const auto heads = x.unflatten(1, {28, 128});
  const auto u = heads.narrow(2, 0, 64), v = heads.narrow(2, 64, 64);
  const auto turned = at::cat({u * cos - v * sin, v * cos + u * sin}, 2).flatten(1);
  const auto positions = at::arange(1000, x.options().dtype(at::kLong));
  findings.add("rotary bf16, share of unlike elements",
               share(nn::rotary(x, table, positions, 28), turned), 0);
}

void check_softmax(at::ScalarType dtype, Randoms& random, Findings& findings) {
  for (const int64_t vocabulary : {152064, 6144, 32003}) {
    const int64_t rows = 1000;
    const auto logits = random.normal({rows, vocabulary}, dtype, 4),
               weights = random.normal({rows}, kFull);
    const auto targets = random.below(vocabulary, rows);
    const TensorsFunction f = [](const Tensors& in) {
      auto p = in[0].clone();
      auto nll = at::full({p.size(0)}, NAN, p.options().dtype(kFull));
      nn::cuda_softmax_nll(p, in[1], in[2], true, nll);
      return Tensors{p, nll};
    };
    const auto found = f({logits, targets, weights});
    const auto logp = at::log_softmax(logits.to(at::kDouble), 1);
    const auto index = targets.unsqueeze(1);
    const auto slope = logp.exp().scatter_add(1, index, at::full({rows, 1}, -1.0, logp.options()));
    const auto name = "softmax_nll " + name_of(dtype) + " " + std::to_string(vocabulary);
    findings.add(name, relative_error(found[1], -logp.gather(1, index).squeeze(1)), 1e-5);
    findings.add(name + " gradient", relative_error(found[0], slope * weights.unsqueeze(1)),
                 limit_of(dtype), dependent_rows(f, {logits, targets, weights}));
  }
}

struct Shape {
  const char* name;
  int64_t out, in;
  bool bias;
};

void check_linear(at::ScalarType dtype, Randoms& random, Findings& findings) {
  const Shape shapes[] = {{"7B qkv", 4608, 3584, true},
                          {"7B output", 3584, 3584, false},
                          {"7B gate-up", 37888, 3584, false},
                          {"7B down", 3584, 18944, false},
                          {"7B vocabulary", 152064, 3584, false},
                          {"pocket qkv", 512, 256, true},
                          {"pocket output", 256, 256, false},
                          {"pocket gate-up", 1536, 256, false},
                          {"pocket down", 256, 768, false},
                          {"pocket vocabulary", 6144, 256, false},
                          {"odd", 99, 52, true}};
  for (const auto& shape : shapes) {
    if (dtype == kFull && shape.out > 10000) continue;
    const double scale = 1 / std::sqrt(static_cast<double>(shape.in));
    const auto matrix = random.normal({shape.out, shape.in}, dtype, scale);
    const auto bias = shape.bias ? random.normal({shape.out}, dtype) : at::Tensor();
    const nn::Weight weight(matrix, bias);
    const auto wide = matrix.to(at::kDouble),
               wide_bias = shape.bias ? bias.to(at::kDouble) : at::Tensor();
    check_layer({std::string("linear ") + shape.name,
                 [&](const at::Tensor& x, const at::Tensor&) { return nn::linear(x, weight); },
                 [&](const at::Tensor& x, const at::Tensor&) {
                   return nn::plain_linear(x, wide, wide_bias);
                 },
                 random.normal({kMostRows, shape.in}, dtype),
                 random.normal({kMostRows, shape.out}, dtype),
                 {}},
                findings);
  }
}

// The forward and backward pass of a packed batch, cut into its sequences.
std::vector<Tensors> attend(const at::Tensor& qkv, const at::Tensor& dy,
                            const nn::HeadLayout& heads, const std::vector<int64_t>& lengths) {
  const auto packing = nn::make_packing(lengths, at::kCUDA);
  const auto leaf = qkv.detach().clone().requires_grad_();
  const auto out = nn::attention(leaf, heads, packing);
  const auto d_qkv = torch::autograd::grad({out}, {leaf}, {dy})[0];
  std::vector<Tensors> sequences;
  for (size_t s = 0; s < lengths.size(); ++s) {
    const int64_t first = packing.offsets[s];
    sequences.push_back(
        {out.detach().narrow(0, first, lengths[s]), d_qkv.narrow(0, first, lengths[s])});
  }
  return sequences;
}

void check_attention(at::ScalarType dtype, const nn::HeadLayout& heads, Randoms& random,
                     Findings& findings) {
  const std::vector<int64_t> lengths = {90, 1, 33, 128, 129, 300, 700, 64, 1500, 257};
  const auto packing = nn::make_packing(lengths, at::kCUDA);
  const auto qkv = random.normal({packing.tokens(), heads.width()}, dtype);
  const auto dy = random.normal({packing.tokens(), heads.query_heads * heads.head_dim}, dtype);
  const auto together = attend(qkv, dy, heads, lengths);
  const Function plain = [&](const at::Tensor& x, const at::Tensor&) {
    return nn::plain_attention(x, heads, packing);
  };
  const auto wide = qkv.to(at::kDouble);
  Tensors out, d_qkv;
  std::string wrong, wrong_backward;
  for (size_t s = 0; s < lengths.size(); ++s) {
    out.push_back(together[s][0]), d_qkv.push_back(together[s][1]);
    const int64_t first = packing.offsets[s];
    const auto alone = attend(qkv.narrow(0, first, lengths[s]), dy.narrow(0, first, lengths[s]),
                              heads, {lengths[s]});
    const auto label = "length " + std::to_string(lengths[s]) + " ";
    if (!same_bits(alone[0][0], together[s][0])) wrong += label;
    if (!same_bits(alone[0][1], together[s][1])) wrong_backward += label;
  }
  const auto name = "attention " + name_of(dtype) + " heads of " + std::to_string(heads.head_dim);
  findings.add(name, relative_error(at::cat(out), plain(wide, {})), limit_of(dtype), wrong);
  findings.add(name + " backward", relative_error(at::cat(d_qkv), gradient(plain, wide, dy, {})),
               limit_of(dtype), wrong_backward);
}

struct Wanted {
  bool checks = true, rates = true;
  std::string fixtures = "tests/lm/fixtures";
};

Wanted wanted(int argc, char** argv) {
  Wanted out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--no-rates") {
      out.rates = false;
    } else if (word == "--rates") {
      out.checks = false;
    } else if (word == "--fixtures" && i + 1 < argc) {
      out.fixtures = argv[++i];
    } else {
      throw std::runtime_error("expected --no-rates, --rates or --fixtures DIR");
    }
  }
  return out;
}

void check_all(const Wanted& what, Randoms& random, Findings& findings) {
  for (const auto dtype : {kHalf, kFull}) {
    check_norms(dtype, random, findings);
    check_swiglu(dtype, random, findings);
    check_rotary(dtype, random, findings);
    check_softmax(dtype, random, findings);
  }
  check_rounding(random, findings);
  for (const auto dtype : {kHalf, kFull}) {
    check_linear(dtype, random, findings);
    check_attention(dtype, {28, 4, 128, 1 / std::sqrt(128.0)}, random, findings);
    check_attention(dtype, {4, 2, 64, 1 / 8.0}, random, findings);
  }
  nn::HeadLayout sinks{6, 2, 40, 0.2};
  sinks.sliding_window = 50, sinks.sinks = random.normal({6}, kFull, 2);
  check_attention(kFull, sinks, random, findings);
  check_experts(random, findings);
  check_low_rank(random, findings);
  check_encoder_attention(random, findings);
  check_paged(random, findings);
  check_models(what.fixtures, findings);
  std::printf("%d checks failed\n\n", findings.failures());
}

int run(const Wanted& what) {
  at::globalContext().setDeterministicAlgorithms(true, false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  Randoms random;
  Findings findings;
  if (what.checks) check_all(what, random, findings);
  if (what.rates) print_expert_rates(), print_paged_rates(), print_rates(random);
  return findings.failures() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace preimage::bench

int main(int argc, char** argv) {
  try {
    return preimage::bench::run(preimage::bench::wanted(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_check: %s\n", error.what());
    return 1;
  }
}
