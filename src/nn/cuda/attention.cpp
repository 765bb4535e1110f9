#include "cuda/attention.hpp"

#include <algorithm>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "held.hpp"
#include "plain_attention.hpp"

namespace preimage::nn {

bool cuda_attention_supports(const at::Tensor& qkv, const HeadLayout& heads) {
  const bool half = qkv.scalar_type() == at::kBFloat16 || qkv.scalar_type() == at::kHalf;
  return qkv.is_cuda() && half && heads.head_dim % 8 == 0 && heads.head_dim <= 256 &&
         heads.value_size() <= heads.head_dim;
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// More than the multiprocessors of any GPU.
constexpr int64_t kPairs = 256;

// In deterministic mode the backward pass adds dQ in ceil(multiprocessors / (sequences * heads))
// parts, so its order of adding would depend on the batch. Empty sequences at the end make it one
// part always.
at::Tensor padded_offsets(const Packing& packing, int64_t query_heads) {
  const int64_t missing = (kPairs + query_heads - 1) / query_heads - packing.sequences();
  if (missing <= 0) return packing.offsets_device;
  const auto end = packing.offsets_device.narrow(0, packing.sequences(), 1);
  return at::cat({packing.offsets_device, end.expand({missing})});
}

struct FlashCall {
  HeadLayout heads;
  at::Tensor offsets, key_offsets;
  int64_t longest, longest_keys;
  std::optional<int64_t> window_left, window_right;
};

FlashCall flash_call(const HeadLayout& heads, const Packing& queries, const Packing& keys) {
  // A longest length of one would take a shortcut for decoding that folds the heads of a group into
  // rows.
  FlashCall call{heads, queries.offsets_device, keys.offsets_device,
                 std::max<int64_t>(2, queries.longest), std::max<int64_t>(2, keys.longest)};
  if (heads.sliding_window > 0) call.window_left = heads.sliding_window - 1, call.window_right = 0;
  return call;
}

// Sinks enter FlashAttention after the fact: with L' = log(e^L + e^sink) the outputs shrink by
// e^(L - L'), and the backward pass, which forms its probabilities from the log-sum-exp and
// rowsum(dO O) from the output, is exact when it is given L' and the shrunk output.
class FlashWithSinks : public torch::autograd::Function<FlashWithSinks> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const FlashCall& call) {
    auto [out, lse, state, unused, debug] = at::_flash_attention_forward(
        q, k, v, call.offsets, call.key_offsets, call.longest, call.longest_keys, 0.0,
        /*is_causal=*/true,
        /*return_debug_mask=*/false, call.heads.scale, call.window_left, call.window_right);
    // lse is [heads, tokens] in a packed batch
    const auto joined = at::logaddexp(lse, call.heads.sinks.unsqueeze(1));
    const auto shrink = (lse - joined).exp().t().unsqueeze(2);  // [tokens, heads, 1]
    out = (out.to(at::kFloat) * shrink).to(out.scalar_type());
    ctx->save_for_backward({q, k, v, out, joined, state, unused});
    ctx->saved_data["call"] = hold(call);
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto s = ctx->get_saved_variables();
    const auto& call = held<FlashCall>(ctx->saved_data["call"]);
    auto [dq, dk, dv] = at::_flash_attention_backward(
        gradients[0].contiguous(), s[0], s[1], s[2], s[3], s[4], call.offsets, call.key_offsets,
        call.longest, call.longest_keys, 0.0, /*is_causal=*/true, s[5], s[6], call.heads.scale,
        call.window_left, call.window_right);
    return {dq, dk, dv, {}};
  }
};

at::Tensor flash(const at::Tensor& q, const at::Tensor& k, at::Tensor v, const FlashCall& call) {
  const auto& heads = call.heads;
  const int64_t missing = heads.head_dim - heads.value_size();
  if (missing > 0) v = at::constant_pad_nd(v, {0, missing});  // it wants one size for all three
  const auto out =
      heads.sinks.defined()
          ? FlashWithSinks::apply(q, k, v, call)
          : std::get<0>(at::_flash_attention_forward(
                q, k, v, call.offsets, call.key_offsets, call.longest, call.longest_keys, 0.0,
                /*is_causal=*/true, /*return_debug_mask=*/false, heads.scale, call.window_left,
                call.window_right));
  return out.narrow(2, 0, heads.value_size()).reshape({q.size(0), heads.out_width()});
}

}  // namespace

// Every tile of FlashAttention-2's forward pass reads one sequence and head, and its walk over the
// keys is fixed by the sequence alone. Its backward pass is so only in ATen's deterministic mode,
// which the program sets at start.
at::Tensor cuda_attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing) {
  const auto [q, k, v] = split_heads(qkv, heads);
  auto call = flash_call(heads, packing, packing);
  if (qkv.requires_grad())
    call.offsets = call.key_offsets = padded_offsets(packing, heads.query_heads);
  return flash(q, k, v, call);
}

// Its walk goes by blocks of keys at absolute positions, whole tiles of queries at a time; what
// lies beyond a query adds nothing. So a piece of a prompt has the bits it has in the whole.
at::Tensor cuda_prefix_attention(const PrefixQuery& c, const HeadLayout& heads) {
  return flash(c.q, c.k, c.v, flash_call(heads, c.queries, c.keys));
}

}  // namespace preimage::nn
