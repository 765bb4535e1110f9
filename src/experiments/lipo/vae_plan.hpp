// Where each layer of an autoencoder lies in its parameter vector.
#pragma once

#include <cstdint>
#include <vector>

#include "vae.hpp"

namespace preimage::lipo {

struct VaePlan {
  struct Layer {
    int64_t in = 0, out = 0;
    bool normed = false;
    int64_t weight = 0, bias = 0, scale = 0, shift = 0;  // offsets
  };
  int64_t embedding_dim = 0, latent_dim = 0;
  int64_t encoder_layers = 0;  // the first of them; the others decode
  std::vector<Layer> layers;
  int64_t size = 0;
};

VaePlan vae_plan(int64_t embedding_dim, const VaeOptions& options);

}  // namespace preimage::lipo
