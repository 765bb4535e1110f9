// Frequencies of the rotary embedding, in the float32 operations of transformers'
// modeling_rope_utils (its tensors, so that the last bit of a power is the same).
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "preimage/base/error.hpp"
#include "preimage/lm/checkpoint/model_config.hpp"

namespace preimage::lm {
namespace {

// Grattafiori et al. 2024, "The Llama 3 herd of models", as released with Llama 3.1: long
// wavelengths are stretched by `factor`, short ones kept, those between blended.
at::Tensor llama3(const at::Tensor& inv_freq, const RopeConfig& rope) {
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  const at::Tensor wavelength = 2 * std::numbers::pi / inv_freq;
  const at::Tensor smooth = (original / wavelength - rope.low_freq_factor) /
                            (rope.high_freq_factor - rope.low_freq_factor);
  const at::Tensor blended = (1 - smooth) * inv_freq / rope.factor + smooth * inv_freq;
  const at::Tensor far =
      at::where(wavelength > original / rope.low_freq_factor, inv_freq / rope.factor, blended);
  return at::where(wavelength < original / rope.high_freq_factor, inv_freq, far);
}

// The dimension whose wave turns `rotations` times within the original context.
double correction_dimension(double rotations, int64_t dim, const RopeConfig& rope) {
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  return static_cast<double>(dim) * std::log(original / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rope.theta));
}

// Peng et al. 2023, "YaRN", sections 3.2 and 3.4.
at::Tensor yarn(const at::Tensor& positions, int64_t dim, const RopeConfig& rope) {
  double low = correction_dimension(rope.beta_fast, dim, rope);
  double high = correction_dimension(rope.beta_slow, dim, rope);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  const at::Tensor ramp = ((at::arange(dim / 2, at::kFloat) - low) / (high - low)).clamp(0, 1);
  const at::Tensor keep = 1 - ramp;
  return (rope.factor * positions).reciprocal() * (1 - keep) + positions.reciprocal() * keep;
}

// bloc97 and emozilla 2023: the base grows with the longest sequence beyond the trained length.
at::Tensor dynamic(const at::Tensor& exponents, int64_t dim, const RopeConfig& rope) {
  const double longest = static_cast<double>(rope.longest),
               trained = static_cast<double>(rope.trained);
  const double d = static_cast<double>(dim);
  const double stretch = rope.factor * longest / trained - (rope.factor - 1);
  return at::pow(rope.theta * std::pow(stretch, d / (d - 2)), exponents).reciprocal();
}

// Ding et al. 2024, "LongRoPE", as in Phi-3.
at::Tensor longrope(const at::Tensor& positions, const RopeConfig& rope) {
  base::check(static_cast<int64_t>(rope.wavelengths.size()) == positions.numel(),
              "longrope has a factor for each frequency");
  return (at::tensor(rope.wavelengths, at::kDouble).to(at::kFloat) * positions).reciprocal();
}

double longrope_attention_scaling(const RopeConfig& rope) {
  if (rope.attention_factor != 0) return rope.attention_factor;
  if (rope.factor <= 1) return 1;
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  return std::sqrt(1 + std::log(rope.factor) / std::log(original));
}

double yarn_attention_scaling(const RopeConfig& rope) {
  const auto magnitude = [&](double scale) {
    return rope.factor <= 1 ? 1.0 : 0.1 * scale * std::log(rope.factor) + 1.0;
  };
  if (rope.attention_factor != 0) return rope.attention_factor;
  if (rope.mscale != 0 && rope.mscale_all_dim != 0) {
    return magnitude(rope.mscale) / magnitude(rope.mscale_all_dim);
  }
  return magnitude(1);
}

}  // namespace

double yarn_softmax_factor(const RopeConfig& rope) {
  if (rope.type == "default" || rope.mscale_all_dim == 0 || rope.factor <= 1) return 1;
  return 0.1 * rope.mscale_all_dim * std::log(rope.factor) + 1;
}

RopeFrequencies rope_frequencies(const RopeConfig& rope, int64_t rotary_dim) {
  base::check(rotary_dim >= 2 && rotary_dim % 2 == 0, "a rotary dimension is even and positive");
  const at::Tensor exponents = at::arange(0, rotary_dim, 2, at::kFloat) / rotary_dim;
  const at::Tensor positions = at::pow(rope.theta, exponents);  // base^(2j/d)
  at::Tensor inv_freq = positions.reciprocal();
  RopeFrequencies out;
  if (rope.type == "linear") {
    inv_freq = inv_freq / rope.factor;
  } else if (rope.type == "llama3") {
    inv_freq = llama3(inv_freq, rope);
  } else if (rope.type == "yarn") {
    inv_freq = yarn(positions, rotary_dim, rope);
    out.attention_scaling = yarn_attention_scaling(rope);
  } else if (rope.type == "dynamic") {
    inv_freq = dynamic(exponents, rotary_dim, rope);
  } else if (rope.type == "longrope") {
    inv_freq = longrope(positions, rope);
    out.attention_scaling = longrope_attention_scaling(rope);
  } else {
    base::check(rope.type == "default", "the rope type \"" + rope.type + "\" was refused earlier");
  }
  out.inv_freq.assign(inv_freq.const_data_ptr<float>(),
                      inv_freq.const_data_ptr<float>() + inv_freq.numel());
  return out;
}

}  // namespace preimage::lm
