// What a fitted Gaussian process says about points that were not observed.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/bo/gaussian_process.hpp"

namespace preimage::bo {

// Posterior of the latent function (no observation noise) in units of the targets, for inputs
// [M, d] that are not normalised.
struct GpPosterior {
  std::vector<double> mean, std;  // [M]; variance at least 1e-10 standardised
};
GpPosterior predict(const GpModel& model, const at::Tensor& inputs);

// In standardised units at normalised inputs [M, d]: what the acquisition climbs on. Rows are
// independent, bit by bit.
struct GpRow {
  double mean = 0, variance = 0;
};
std::vector<GpRow> predict_rows(const GpModel& model, const at::Tensor& normalised);

// The rows, and the gradient [M, d] to `normalised` of a function of them: `weights` is given each
// row's mean and variance and returns the function's derivatives by the two.
struct GpRowWeights {
  double by_mean = 0, by_variance = 0;
};
using GpRowFunction = std::function<GpRowWeights(int64_t row, const GpRow& value)>;
at::Tensor predict_gradient(const GpModel& model, const at::Tensor& normalised,
                            const GpRowFunction& weights);

}  // namespace preimage::bo
