// A variational autoencoder of unit-length sentence embeddings: the latent space that the search
// moves in (Kingma and Welling, ICLR 2014; cosine reconstruction, annealed KL weight).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/config.hpp"
#include "preimage/base/random.hpp"

namespace preimage::lipo {

struct VaeOptions {
  int64_t latent_dim = 64;
  std::vector<int64_t> encoder_dims = {64, 32};       // Linear -> ReLU -> LayerNorm each
  std::vector<int64_t> decoder_dims = {32, 64, 256};  // likewise, then Linear, L2 normalisation
  double beta = 0.003;
  int64_t annealing_epochs = 500;
  int64_t epochs = 10000;
  int64_t patience = 500;
  double lr = 3e-4;
  double eta_min = 1e-4;
  double weight_decay = 0.01;
  int64_t batch_size = 64;
  double grad_clip = 1;
  // "held_out": stops on the deterministic reconstruction (decode(mu)) of `holdout` of the data,
  // best and counter reset when the annealing ends, best weights restored. "plan": stops on the
  // training reconstruction of sampled z from the first epoch on, and keeps the last weights.
  std::string stopping = "held_out";
  double holdout = 0.15;
  void fields(base::Fields& f);
  base::ConfigErrors check(const std::string& prefix) const;
};

// beta(e) = beta e / annealing_epochs below annealing_epochs, then beta; the learning rate of epoch
// e: cosine over 2 x epochs from lr to eta_min.
double vae_beta(const VaeOptions& options, int64_t epoch);
double vae_learning_rate(const VaeOptions& options, int64_t epoch);

// One layer: weight [out, in], bias [out], and the LayerNorm's scale and shift [out], undefined for
// the last layer of encoder and decoder. Views of Vae::parameters.
struct VaeLayer {
  at::Tensor weight, bias, scale, shift;
};

struct Vae {
  int64_t embedding_dim = 0, latent_dim = 0;
  at::Tensor parameters;  // [P] float32; 274,624 of them at 768 dimensions
  std::vector<VaeLayer> encoder, decoder;
};

// Weights as torch.nn.Linear draws them, from `random`.
Vae make_vae(int64_t embedding_dim, const VaeOptions& options, const base::RandomStream& random);
// The layers' views of a stored parameter vector.
Vae vae_from(int64_t embedding_dim, const VaeOptions& options, const at::Tensor& parameters);

// Plain ATen operations, differentiable; rows x [n, embedding_dim], z [n, latent_dim] float32.
struct VaePosterior {
  at::Tensor mean, log_variance;  // [n, latent_dim]
};
VaePosterior vae_encode(const Vae& vae, const at::Tensor& x);
at::Tensor vae_decode(const Vae& vae, const at::Tensor& z);  // unit rows

struct VaeEpoch {
  double reconstruction = 0;  // mean of 1 - cosine over the training rows, z sampled
  double kl = 0;              // nats, summed over dimensions, mean over rows
  double held_out = 0;        // 1 - cosine of decode(mu) on the held-out rows; NaN without any
};

struct VaeQuality {
  double cosine_mean = 0, cosine_std = 0, cosine_min = 0;     // with z = mu
  double sampled_mean = 0, sampled_std = 0, sampled_min = 0;  // with sampled z
  double kl_mean = 0;
  int64_t active_units = 0;   // dimensions with Var_x(mu_d(x)) > 0.01 (Burda et al., ICLR 2016)
  double effective_rank = 0;  // exp of the entropy of mu's normalised singular values (Roy 2007)
};
VaeQuality vae_quality(const Vae& vae, const at::Tensor& x, const base::RandomStream& random);

struct VaeFit {
  Vae vae;
  int64_t epochs = 0;      // run
  int64_t best_epoch = 0;  // whose weights are kept
  bool early_stopped = false;
  std::vector<VaeEpoch> history;
};

// Fits to rows x [n, embedding_dim] float32 of unit length. Bits depend neither on the number of
// threads nor on anything that runs beside it.
VaeFit fit_vae(const at::Tensor& x, const VaeOptions& options, const base::RandomStream& random);

}  // namespace preimage::lipo
