// The part of gpu_check about encoders' attention and narrow weights: against plain ATen, and bit
// for bit against themselves in other company.
#include <cmath>

#include <torch/csrc/autograd/autograd.h>

#include "gpu_check.hpp"
#include "preimage/nn/biased_attention.hpp"
#include "preimage/nn/bidirectional_attention.hpp"
#include "preimage/nn/linear.hpp"
#include "preimage/nn/quantized.hpp"

namespace preimage::bench {
namespace {

using nn::Attended;
using nn::KeySpan;
using Lengths = std::vector<int64_t>;

Attended fused(const at::Tensor& qkv) {
  const auto parts = qkv.chunk(3, 1);
  return {parts[0], parts[1], parts[2]};
}

Attended wide(const Attended& x) {
  return {x.queries.to(at::kFloat), x.keys.to(at::kFloat), x.values.to(at::kFloat)};
}

double limit_of(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? 1e-2 : 1e-5;
}

struct BiasedCase {
  nn::FullHeads heads;
  at::ScalarType dtype;
  bool causal, biased;
  std::string name() const {
    return base::str("biased attention ", heads.heads, " x ", heads.head_dim, " ",
                     dtype == at::kBFloat16 ? "bf16" : "f32", causal ? " causal" : "",
                     biased ? " bias" : "");
  }
};

void check_own(const BiasedCase& c, Randoms& random, Findings& findings) {
  const Lengths lengths = {1, 40, 3, 16, 77, 33, 0, 15, 200};
  const int64_t width = c.heads.heads * c.heads.head_dim;
  const auto packing = nn::make_packing(lengths, at::kCUDA);
  const auto qkv = random.normal({packing.tokens(), 3 * width}, c.dtype);
  nn::RelativeBias bias;
  if (c.biased) bias = {random.normal({c.heads.heads, 511}, at::kFloat), 255};
  const auto spans = nn::make_spans(packing, nn::own_spans(packing).keys, c.causal);
  const auto all = nn::biased_attention(fused(qkv), c.heads, spans, bias);
  std::string wrong;
  for (size_t s = 0; s < lengths.size(); ++s) {
    if (lengths[s] == 0) continue;
    const auto own =
        nn::make_spans(nn::make_packing({lengths[s]}, at::kCUDA), {{0, lengths[s]}}, c.causal);
    const auto rows = qkv.narrow(0, packing.offsets[s], lengths[s]);
    const auto alone = nn::biased_attention(fused(rows), c.heads, own, bias);
    if (!same_bits(alone, all.narrow(0, packing.offsets[s], lengths[s])))
      wrong += base::str("length ", lengths[s], " ");
  }
  findings.add(
      c.name(),
      relative_error(all, nn::plain_biased_attention(wide(fused(qkv)), c.heads, spans, bias)),
      limit_of(c.dtype), wrong);
}

// Queries of several rows that look at spans of other rows, some of them at the same.
void check_cross(const BiasedCase& c, Randoms& random, Findings& findings) {
  const Lengths asked = {1, 8, 8, 3, 40};
  const std::vector<KeySpan> spans_of = {{3, 20}, {0, 1}, {3, 20}, {23, 77}, {40, 60}};
  const int64_t width = c.heads.heads * c.heads.head_dim;
  const auto packing = nn::make_packing(asked, at::kCUDA);
  const Attended x = {random.normal({packing.tokens(), width}, c.dtype),
                      random.normal({100, width}, c.dtype), random.normal({100, width}, c.dtype)};
  const auto spans = nn::make_spans(packing, spans_of, /*causal=*/false);
  const auto all = nn::biased_attention(x, c.heads, spans, {});
  std::string wrong;
  for (size_t s = 0; s < asked.size(); ++s) {
    for (int64_t q = 0; q < asked[s]; ++q) {
      const auto one = nn::make_spans(nn::make_packing({1}, at::kCUDA), {spans_of[s]}, false);
      const auto row = x.queries.narrow(0, packing.offsets[s] + q, 1);
      if (!same_bits(nn::biased_attention({row, x.keys, x.values}, c.heads, one, {}),
                     all.narrow(0, packing.offsets[s] + q, 1)))
        wrong += base::str(s, ".", q, " ");
    }
  }
  findings.add(c.name() + " cross",
               relative_error(all, nn::plain_biased_attention(wide(x), c.heads, spans, {})),
               limit_of(c.dtype), wrong);
}

void check_bidirectional(Randoms& random, Findings& findings) {
  for (const int64_t head_dim : {64, 32, 128}) {
    const nn::HeadLayout heads{4, 4, head_dim, 1 / std::sqrt(static_cast<double>(head_dim))};
    const Lengths lengths = {1, 40, 300, 17, 129};
    const auto packing = nn::make_packing(lengths, at::kCUDA);
    const auto qkv = random.normal({packing.tokens(), heads.width()}, at::kBFloat16);
    const auto dy = random.normal({packing.tokens(), 4 * head_dim}, at::kBFloat16);
    const auto pass = [&](const at::Tensor& rows, const nn::Packing& places, const at::Tensor& up,
                          bool plain) {
      const auto x = rows.detach().clone().requires_grad_();
      const auto y = plain ? nn::plain_bidirectional_attention(x, heads, places)
                           : nn::bidirectional_attention(x, heads, places);
      const auto dx = torch::autograd::grad({y}, {x}, {up.to(y.scalar_type())})[0];
      return std::pair(y.detach(), dx);
    };
    const auto ours = pass(qkv, packing, dy, false);
    const auto truth = pass(qkv.to(at::kDouble), packing, dy, true);
    std::string wrong;
    for (size_t s = 0; s < lengths.size(); ++s) {
      const auto cut = [&](const at::Tensor& x) {
        return x.narrow(0, packing.offsets[s], lengths[s]);
      };
      const auto alone = pass(cut(qkv), nn::make_packing({lengths[s]}, at::kCUDA), cut(dy), false);
      if (!same_bits(alone.first, cut(ours.first))) wrong += base::str("length ", lengths[s], " ");
    }
    const auto name = base::str("bidirectional attention bf16 heads of ", head_dim);
    findings.add(name, relative_error(ours.first, truth.first), 1e-2, wrong);
    findings.add(name + " backward", relative_error(ours.second, truth.second), 1e-2);
  }
}

// ---- narrow weights -----------------------------------------------------------------------------

nn::NarrowMatrix random_narrow(nn::NarrowMatrix::Codes format, int64_t rows, int64_t columns,
                               Randoms& random) {
  using Codes = nn::NarrowMatrix::Codes;
  if (format == Codes::int8 || format == Codes::fp8)
    return nn::quantize_rows(random.normal({rows, columns}, at::kFloat), format);
  nn::NarrowMatrix m;
  m.format = format, m.rows = rows, m.columns = columns, m.block_columns = 32;
  if (format == Codes::int4) {
    const auto half = [&] { return random.below(1 << 16, rows * columns / 8); };
    m.codes = (half() * (1 << 16) + half()).to(at::kInt).view({rows, columns / 8});
    m.scales = random.normal({rows, columns / 32}, at::kFloat).abs();
  } else {
    m.codes = random.below(256, rows * columns / 2).view({rows, columns / 2}).to(at::kByte);
    m.scales = (random.below(8, rows * columns / 32) + 120).view({rows, columns / 32});
    m.scales = m.scales.to(at::kByte);
  }
  return m;
}

void check_narrow(Randoms& random, Findings& findings) {
  using Codes = nn::NarrowMatrix::Codes;
  const std::pair<Codes, const char*> formats[] = {
      {Codes::int8, "int8"}, {Codes::fp8, "fp8"}, {Codes::int4, "int4"}, {Codes::mxfp4, "mxfp4"}};
  for (const auto& [format, name] : formats) {
    // More than one block of rows: 2^24 decoded elements.
    const int64_t rows = 9000, columns = 2048;
    const auto narrow = random_narrow(format, rows, columns, random);
    const nn::Weight weight(narrow);
    for (const auto dtype : {at::kBFloat16, at::kFloat}) {
      const auto dense = nn::decode_rows(narrow, 0, rows, dtype).to(at::kDouble);
      const Layer layer{
          std::string("narrow weight ") + name,
          [&](const at::Tensor& x, const at::Tensor&) { return nn::linear(x, weight); },
          [&](const at::Tensor& x, const at::Tensor&) { return nn::plain_linear(x, dense, {}); },
          random.normal({300, columns}, dtype),
          random.normal({300, rows}, dtype),
          {}};
      check_layer(layer, findings);
    }
  }
}

}  // namespace

void check_encoder_attention(Randoms& random, Findings& findings) {
  for (const auto dtype : {at::kBFloat16, at::kFloat}) {
    for (const nn::FullHeads heads : {nn::FullHeads{12, 64, 1.0}, nn::FullHeads{3, 32, 0.2}}) {
      for (const bool causal : {false, true}) {
        for (const bool biased : {false, true})
          check_own({heads, dtype, causal, biased}, random, findings);
      }
      check_cross({heads, dtype, false, false}, random, findings);
    }
  }
  check_bidirectional(random, findings);
  check_narrow(random, findings);
}

}  // namespace preimage::bench
