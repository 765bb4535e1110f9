#include "cuda_attention.hpp"

#include <ATen/ATen.h>

namespace preimage::nn {

bool cuda_attention_supports(const at::Tensor& qkv, const HeadLayout& heads) {
  const bool half = qkv.scalar_type() == at::kBFloat16 || qkv.scalar_type() == at::kHalf;
  return qkv.is_cuda() && half && heads.head_dim % 8 == 0 && heads.head_dim <= 256;
}

namespace {

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

}  // namespace

// Every tile of FlashAttention-2's forward pass reads one sequence and head, and its walk over the
// keys is fixed by the sequence alone. Its backward pass is so only in ATen's deterministic mode,
// which the program sets at start.
at::Tensor cuda_attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing) {
  const auto parts =
      qkv.split_with_sizes({heads.query_heads * heads.head_dim, heads.kv_heads * heads.head_dim,
                            heads.kv_heads * heads.head_dim},
                           1);
  const auto rows = [&](const at::Tensor& x, int64_t count) {
    return x.unflatten(1, {count, heads.head_dim});
  };
  const auto offsets =
      qkv.requires_grad() ? padded_offsets(packing, heads.query_heads) : packing.offsets_device;
  // A longest length of one would take a shortcut for decoding that folds the heads of a group into
  // rows.
  const int64_t longest = std::max<int64_t>(2, packing.longest);
  const auto out = std::get<0>(at::_flash_attention_forward(
      rows(parts[0], heads.query_heads), rows(parts[1], heads.kv_heads),
      rows(parts[2], heads.kv_heads), offsets, offsets, longest, longest,
      /*dropout_p=*/0.0, /*is_causal=*/true, /*return_debug_mask=*/false, heads.scale));
  return out.reshape({qkv.size(0), heads.query_heads * heads.head_dim});
}

}  // namespace preimage::nn
