#include "preimage/nn/biased_attention.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "cpu/kernels.hpp"
#include "cuda/biased_attention.hpp"
#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

// Vectors of sixteen are read from the bias and stop within one vector of its end.
constexpr int64_t kLanes = 16;

at::Tensor rows_of(const at::Tensor& x) {
  const auto wide = x.to(at::kFloat);
  return wide.stride(1) == 1 ? wide : wide.contiguous();
}

at::Tensor padded_bias(const RelativeBias& bias) {
  if (!bias.table.defined()) return {};
  return at::constant_pad_nd(bias.table.to(at::kFloat), {kLanes, kLanes}).contiguous();
}

// Position of the first query of sequence s among its keys.
int64_t first_position(const KeySpans& spans, int64_t s) {
  if (!spans.causal) return 0;
  return spans.keys[s].count - (spans.queries.offsets[s + 1] - spans.queries.offsets[s]);
}

at::Tensor cpu_biased_attention(const Attended& x, const FullHeads& heads, const KeySpans& spans,
                                const RelativeBias& bias) {
  const auto q = rows_of(x.queries), k = rows_of(x.keys), v = rows_of(x.values);
  base::check(k.stride(0) == v.stride(0), "keys and values lie in rows of one stride");
  const auto table = padded_bias(bias);
  const int64_t width = heads.heads * heads.head_dim;
  auto out = at::empty({q.size(0), width}, q.options());
  float* out_data = out.data_ptr<float>();
  const auto tasks = spans.queries.sequences() * heads.heads;
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(
        static_cast<size_t>(biased_scratch(spans.most_keys, heads.head_dim)));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t s = task / heads.heads, column = task % heads.heads * heads.head_dim;
      const int64_t first = spans.queries.offsets[s];
      BiasedTile tile{};
      tile.q = q.const_data_ptr<float>() + first * q.stride(0) + column;
      tile.k = k.const_data_ptr<float>() + spans.keys[s].begin * k.stride(0) + column;
      tile.v = v.const_data_ptr<float>() + spans.keys[s].begin * v.stride(0) + column;
      tile.q_row = q.stride(0), tile.kv_row = k.stride(0);
      tile.queries = spans.queries.offsets[s + 1] - first, tile.keys = spans.keys[s].count;
      tile.causal = spans.causal, tile.first_position = first_position(spans, s);
      tile.head_dim = heads.head_dim, tile.scale = static_cast<float>(heads.scale);
      if (table.defined()) {
        tile.bias =
            table.const_data_ptr<float>() + task % heads.heads * table.size(1) + kLanes + bias.zero;
      }
      tile.out = out_data + first * width + column, tile.out_row = width;
      tile.scratch = scratch.data();
      cpu_kernels().biased_attention(tile);
    }
  });
  return out.to(x.queries.scalar_type());
}

// Every distance between a query and a key of the span has its column.
void require_bias(const FullHeads& heads, const KeySpans& spans, const RelativeBias& bias) {
  if (!bias.table.defined()) return;
  const int64_t farthest = spans.most_keys - 1;
  base::check(bias.table.dim() == 2 && bias.table.size(0) == heads.heads && bias.zero >= farthest &&
                  (spans.causal || bias.zero + farthest < bias.table.size(1)),
              "the relative bias covers the longest span");
}

}  // namespace

KeySpans make_spans(Packing queries, std::vector<KeySpan> keys, bool causal) {
  base::check(static_cast<int64_t>(keys.size()) == queries.sequences(),
              "every sequence of queries has its span of keys");
  KeySpans spans{.queries = std::move(queries), .keys = std::move(keys), .causal = causal};
  std::vector<int32_t> flat;
  for (int64_t s = 0; s < spans.queries.sequences(); ++s) {
    const auto& span = spans.keys[s];
    const int64_t asked = spans.queries.offsets[s + 1] - spans.queries.offsets[s];
    base::check(asked == 0 || span.count >= (causal ? asked : 1), "queries have keys to look at");
    flat.push_back(static_cast<int32_t>(span.begin));
    flat.push_back(static_cast<int32_t>(span.count));
    spans.most_keys = std::max(spans.most_keys, span.count);
  }
  const auto device = spans.queries.offsets_device.device();
  spans.keys_device = at::tensor(flat, at::kInt).view({-1, 2}).to(device);
  return spans;
}

KeySpans own_spans(const Packing& packing) {
  std::vector<KeySpan> keys;
  for (int64_t s = 0; s < packing.sequences(); ++s)
    keys.push_back({packing.offsets[s], packing.offsets[s + 1] - packing.offsets[s]});
  return make_spans(packing, std::move(keys), /*causal=*/false);
}

at::Tensor biased_attention(const Attended& x, const FullHeads& heads, const KeySpans& spans,
                            const RelativeBias& bias) {
  const int64_t width = heads.heads * heads.head_dim;
  base::check(x.queries.size(0) == spans.queries.tokens() && x.queries.size(1) == width &&
                  x.keys.size(1) == width && x.values.sizes() == x.keys.sizes(),
              "attention is given rows of all heads");
  require_bias(heads, spans, bias);
  const at::NoGradGuard no_grad;
  if (x.queries.is_cpu()) return cpu_biased_attention(x, heads, spans, bias);
  if (cuda_biased_attention_supports(x, heads)) return cuda_biased_attention(x, heads, spans, bias);
  return plain_biased_attention(x, heads, spans, bias);
}

at::Tensor plain_biased_attention(const Attended& x, const FullHeads& heads, const KeySpans& spans,
                                  const RelativeBias& bias) {
  const auto split = [&](const at::Tensor& rows, int64_t begin, int64_t count) {
    return rows.narrow(0, begin, count)
        .to(at::kFloat)
        .unflatten(1, {heads.heads, heads.head_dim})
        .transpose(0, 1);  // [heads, count, head_dim]
  };
  std::vector<at::Tensor> out = {x.queries.narrow(0, 0, 0)};
  for (int64_t s = 0; s < spans.queries.sequences(); ++s) {
    const int64_t first = spans.queries.offsets[s], asked = spans.queries.offsets[s + 1] - first;
    if (asked == 0) continue;
    const auto [begin, count] = spans.keys[s];
    auto scores =
        at::matmul(split(x.queries, first, asked), split(x.keys, begin, count).transpose(1, 2)) *
        heads.scale;
    const auto device = x.queries.device();
    const int64_t start = first_position(spans, s);
    const auto rows = at::arange(start, start + asked, device).unsqueeze(1);
    const auto distance = at::arange(count, device).unsqueeze(0) - rows;  // [asked, count]
    if (bias.table.defined()) {
      const auto column = (distance + bias.zero).clamp(0, bias.table.size(1) - 1);
      scores = scores + bias.table.to(at::kFloat).index_select(1, column.flatten()).view_as(scores);
    }
    if (spans.causal) scores = scores.masked_fill(distance > 0, -INFINITY);
    const auto mixed = at::matmul(at::softmax(scores, -1), split(x.values, begin, count));
    out.push_back(mixed.transpose(0, 1).reshape({asked, -1}).to(x.queries.scalar_type()));
  }
  return at::cat(out);
}

}  // namespace preimage::nn
