// From a point of the latent space to an instruction, and how far the instruction is from the
// point.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

#include "arm.hpp"
#include "preimage/bo/gaussian_process.hpp"

namespace preimage::lipo {

// The latent whose decoding is nearest to an embedding, by Adam from the embedding's mu.
struct LatentFit {
  at::Tensor latent;    // [latent_dim] float64, not normalised; the best iterate
  double distance = 0;  // 1 - cosine of its decoding and the embedding
  int64_t steps = 0;
};
LatentFit fit_latent(const Vae& vae, const bo::InputScale& scale, const at::Tensor& embedding,
                     const InversionConfig& config);

struct Inversion {
  std::string text, first_text;  // "" where nothing was written
  at::Tensor embedding;          // [embedding_dim] of text
  at::Tensor mu, z_inv;          // [latent_dim] float64
  double gap_align = 0, gap_code = 0, gap_plan = 0, cosine = 0;
  int64_t rounds = 0;
};
// Decodes `latent` [latent_dim] (not normalised), writes its text, and while the gap of
// `gap_gate` is above the threshold decodes z_inv of the text and writes again, at most
// max_inversion_iters texts.
Inversion invert_latent(const ArmGround& ground, const bo::InputScale& scale,
                        const at::Tensor& latent);

// mu of one embedding [embedding_dim] -> [latent_dim] float64.
at::Tensor latent_of(const Vae& vae, const at::Tensor& embedding);

}  // namespace preimage::lipo
