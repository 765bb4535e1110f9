// What PEFT's initialisations leave of a base weight: the adapter that was trained belongs to that,
// not to the weight as it is published.
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

#include "checkpoint/adapter_config.hpp"

namespace preimage::lm {

struct ResidualOptions {
  BaseChange change;
  int64_t rank = 0;
  double scale = 1;   // of the adapter
  std::string place;  // what every message starts with
};

// W less its best approximation of rank r (PiSSA: Meng, Wang and Zhang 2024), or less the first r
// columns and rows of its QR decomposition times the adapter's scale (OLoRA: Bueyuekakyuez 2024).
// weight [out, in] float32 -> the same. PEFT's "pissa_niter_N" approximates by random numbers,
// other ones at each loading: where N steps have settled, the exact residual is theirs; where they
// have not, ExitCode::bad_data.
at::Tensor residual(const at::Tensor& weight, const ResidualOptions& options);

}  // namespace preimage::lm
