#include "preimage/nn/attention.hpp"

#include <algorithm>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "attention_tiles.hpp"
#include "cuda/attention.hpp"
#include "cuda/float_attention.hpp"
#include "cuda/kernels.hpp"
#include "held.hpp"
#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Layout {
  HeadLayout heads;
  Packing packing;
};

bool uses_float_kernel(const at::Tensor& qkv, const HeadLayout& heads) {
  if constexpr (kHasCuda)
    return qkv.is_cuda() && cuda_float_attention_supports(qkv.scalar_type(), heads);
  return false;
}

// The float32 kernels.
class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, const HeadLayout& heads,
                            const Packing& packing) {
    auto out = at::empty({qkv.size(0), heads.out_width()}, qkv.options());
    auto lse = at::empty({qkv.size(0), heads.query_heads}, qkv.options());
    ctx->save_for_backward({qkv, out, lse});
    ctx->saved_data["layout"] = hold(Layout{heads, packing});
    if constexpr (kHasCuda) {
      if (qkv.is_cuda()) {
        FloatAttended to{out, lse};
        cuda_float_attention_forward(qkv, heads, packing.offsets_device, to);
        return out;
      }
    }
    const float* data = qkv.const_data_ptr<float>();
    for_heads(heads, packing.sequences(), packing.longest,
              [&](int64_t s, int64_t head, float* scratch) {
                const int64_t first = packing.offsets[s], length = packing.offsets[s + 1] - first;
                if (length == 0) return;
                auto tile = packed_tile(data, heads, first, length, head);
                set_output(tile, heads, out.data_ptr<float>(), lse.data_ptr<float>(), first, head);
                tile.scratch = scratch;
                cpu_kernels().attention(tile);
              });
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto &qkv = saved[0], &out = saved[1], &lse = saved[2];
    const auto d_out = gradients[0].contiguous();
    const auto& [heads, packing] = held<Layout>(ctx->saved_data["layout"]);
    auto d_qkv = at::empty_like(qkv);
    if constexpr (kHasCuda) {
      if (qkv.is_cuda()) {
        cuda_float_attention_backward({qkv, packing.offsets_device, d_out, {out, lse}}, heads,
                                      d_qkv);
        return {d_qkv, {}, {}};
      }
    }
    const float* data = qkv.const_data_ptr<float>();
    float* grads = d_qkv.data_ptr<float>();
    const auto body = [&](int64_t s, int64_t head, float* scratch) {
      const int64_t first = packing.offsets[s], length = packing.offsets[s + 1] - first;
      if (length == 0) return;
      AttentionGradTile tile{};
      tile.forward = packed_tile(data, heads, first, length, head);
      set_output(tile.forward, heads, out.data_ptr<float>(), lse.data_ptr<float>(), first, head);
      tile.forward.scratch = scratch;
      // The gradients lie where the forward values lie.
      tile.d_q = grads + (tile.forward.q - data);
      tile.d_k = grads + (tile.forward.k - data);
      tile.d_v = grads + (tile.forward.v - data);
      tile.d_out = d_out.const_data_ptr<float>() + (tile.forward.out - out.const_data_ptr<float>());
      cpu_kernels().attention_backward(tile);
    };
    for_heads(heads, packing.sequences(), packing.longest, body);
    return {d_qkv, {}, {}};
  }
};

// [tokens] int64: the place of each token in its sequence.
at::Tensor packed_positions(const Packing& packing) {
  std::vector<int64_t> positions;
  positions.reserve(static_cast<size_t>(packing.tokens()));
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    for (int64_t i = 0; i < packing.offsets[s + 1] - packing.offsets[s]; ++i)
      positions.push_back(i);
  }
  return at::tensor(positions, at::kLong).to(packing.offsets_device.device());
}

}  // namespace

Packing make_packing(const std::vector<int64_t>& lengths, at::Device device) {
  Packing packing;
  packing.offsets.push_back(0);
  for (const int64_t length : lengths) {
    packing.offsets.push_back(packing.offsets.back() + length);
    packing.longest = std::max(packing.longest, length);
  }
  packing.offsets_device = at::tensor(packing.offsets, at::kInt).to(device);
  return packing;
}

PackedAttention::PackedAttention(Packing packing)
    : packing_(std::move(packing)), positions_(packed_positions(packing_)) {}

at::Tensor PackedAttention::attend(int64_t /*layer*/, const at::Tensor& qkv,
                                   const HeadLayout& heads) const {
  return attention(qkv, heads, packing_);
}

at::Tensor attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing) {
  base::check(qkv.dim() == 2 && qkv.size(1) == heads.width() && qkv.size(0) == packing.tokens(),
              "attention is given [tokens, queries + keys + values]");
  base::check(!heads.sinks.defined() || heads.sinks.scalar_type() == at::kFloat,
              "sinks are float32");
  if ((qkv.is_cpu() && qkv.scalar_type() == at::kFloat) || uses_float_kernel(qkv, heads))
    return AttentionFunction::apply(qkv.contiguous(), heads, packing);
  // A row of a bfloat16 product of ATen depends on the other rows: float32 inside, rounded once.
  if (qkv.is_cpu() && qkv.scalar_type() == at::kBFloat16)
    return attention(qkv.to(at::kFloat), heads, packing).to(at::kBFloat16);
  if (cuda_attention_supports(qkv, heads)) return cuda_attention(qkv, heads, packing);
  return plain_attention(qkv, heads, packing);
}

}  // namespace preimage::nn
