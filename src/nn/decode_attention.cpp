#include "preimage/nn/decode_attention.hpp"

#include <ATen/ATen.h>

#include "cuda/float_attention.hpp"
#include "cuda/kernels.hpp"
#include "cuda/paged.hpp"
#include "preimage/base/error.hpp"

namespace preimage::nn {

bool decode_attention_supports(const HeadLayout& heads, at::ScalarType dtype, at::Device device) {
  const int64_t keys = heads.head_dim, values = heads.value_size();
  const bool sizes =
      (keys == values && (keys == 64 || keys == 128)) || (keys == 192 && values == 128);
  if constexpr (kHasCuda) {
    return device.is_cuda() &&
           (cuda_float_attention_supports(dtype, heads) || (dtype == at::kBFloat16 && sizes));
  }
  return false;
}

DecodeAttention::DecodeAttention(const KvCache& cache, at::Tensor positions, at::Tensor pages,
                                 int64_t chunks)
    : cache_(cache), positions_(std::move(positions)), pages_(std::move(pages)), chunks_(chunks) {}

at::Tensor DecodeAttention::attend(int64_t layer, const at::Tensor& qkv,
                                   const HeadLayout& heads) const {
  base::check(decode_attention_supports(heads, qkv.scalar_type(), qkv.device()) &&
                  qkv.is_contiguous() && qkv.size(0) == positions_.size(0),
              "the decode kernel is given one row of a supported layer for each position");
  auto out = at::empty({qkv.size(0), heads.out_width()}, qkv.options());
  if constexpr (kHasCuda) {
    const auto decode = qkv.scalar_type() == at::kFloat ? cuda_float_decode : cuda_decode;
    decode(qkv, heads, cache_.layers[static_cast<size_t>(layer)], {positions_, pages_, chunks_},
           out);
  }
  return out;
}

}  // namespace preimage::nn
