// One training step of the autoencoder on a batch, in three phases that a team of threads shares:
// samples, weight gradients, updates. What a phase computes does not depend on who computes it.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "cpu/kernels.hpp"
#include "team.hpp"
#include "vae_plan.hpp"

namespace preimage::lipo {

// What stands in columns for at most `batch` samples, and its transposes.
class VaeStep {
 public:
  VaeStep(const VaePlan& plan, int64_t batch, float* parameters);

  int64_t blocks(int64_t count) const { return (count + kSampleTile - 1) / kSampleTile; }

  // The samples of a step: rows of x [n, embedding_dim], and their noise stream.
  struct Samples {
    const float* x;
    const int64_t* rows;  // [count]
    int64_t count;
    const base::RandomStream* noise;  // null: z = mean
    uint64_t first_noise;             // element of the first sample's first dimension, over four
    float beta;
    bool gradient;
  };
  // Phase 1, for a block of kSampleTile samples; all its parts together.
  void samples(const Samples& s, int64_t block, const Part& part = {});
  // Phase 2: rows of weights, a piece at a time; pieces() of them.
  int64_t pieces() const { return static_cast<int64_t>(pieces_.size()); }
  int64_t cost(int64_t piece) const;
  void weight_gradient(int64_t piece, int64_t count);
  // Phase 3.
  double gradient_norm() const;
  void update(int64_t piece, const AdamWStep& step);

  // Of the last phase 1, by sample.
  const float* cosines() const { return cosine_.data(); }
  const float* kl() const { return kl_.data(); }
  const float* z() const { return z_.data(); }  // [latent, columns()]
  int64_t columns() const { return columns_; }
  // For the tests: the gradient of mean(1 - cosine) + beta mean(KL), after all of phase 2.
  const float* gradient() const { return gradient_.data(); }

 private:
  using Floats = std::vector<float>;
  struct Activations {
    Floats pre, unit, out, root;   // [width, columns]
    Floats slope;                  // [width, columns]
    Floats input_rows;             // [columns, in]
    const float* input = nullptr;  // [in, columns]
  };
  struct Piece {
    int64_t layer, first, last;  // rows of the layer
  };
  void load(const Samples& s, int64_t block, const Part& part);
  void forward(const Samples& s, int64_t block, const Part& part);
  void draw(const Samples& s, int64_t block);
  void linear(int64_t layer, int64_t block, const Part& part);
  void output(const Samples& s, int64_t block);
  void backward(const Samples& s, int64_t block, const Part& part);
  void activation_backward(const Samples& s, int64_t layer, int64_t block);
  NormBlock norm_block(int64_t layer, int64_t block);
  LatentBlock latent_block(bool noise, int64_t block);
  void keep_rows(int64_t layer, int64_t block);

  VaePlan plan_;
  const CpuKernels& kernels_;
  // Padded batch: an odd number of tiles, so that rows do not fall on a quarter of the cache's
  // sets.
  int64_t columns_;
  float* parameters_;
  std::vector<Activations> layers_;
  Floats input_, z_, noise_, by_z_, cosine_, kl_;
  Floats gradient_, first_, second_;
  std::vector<Piece> pieces_;
  std::vector<double> squares_;  // [pieces]
};

}  // namespace preimage::lipo
