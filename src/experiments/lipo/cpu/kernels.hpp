// The loops of the autoencoder's training step for one instruction set: float32, each element of a
// product one chain of fused multiply-adds, so that all tables and any division of the work give
// the same bits. Samples stand in columns, sixteen to a block.
#pragma once

#include <cstdint>

namespace preimage::lipo {

inline constexpr int64_t kSampleTile = 16;

// c [rows, columns] = a b over `depth`: a(r, k) = a[r a_row + k a_depth], b(k, j) = b[k b_row + j].
struct Product {
  const float* a;
  int64_t a_row, a_depth;
  const float* b;
  int64_t b_row;
  float* c;
  int64_t c_row;
  int64_t rows, columns, depth;
};

// Linear -> ReLU -> LayerNorm over one block of samples; all arrays [width, .] with row stride
// `stride`, from the block's first sample.
struct NormBlock {
  const float *bias, *scale, *shift;  // [width]
  float *pre, *unit, *out, *root;     // pre: in products; out: with bias. root: [kSampleTile]
  int64_t width, stride;
};

// The output layer over one block: bias, unit length, cosine to the target, slope of its negative.
struct CosineBlock {
  const float* bias;    // [width]
  const float* target;  // [width, .] columns
  float* pre;           // [width, .] in: products; out: the slope of `weight` (1 - cosine)
  float* cosine;        // [kSampleTile] out
  const float* weight;  // [kSampleTile] of each sample, 0 for padding
  int64_t width, stride;
};

// Reparametrisation and KL of one block.
struct LatentBlock {
  const float* bias;   // [2 latent], of the encoder's last layer
  float* mean;         // [2 latent, .] in: products of means and log variances; out: with bias
  const float* noise;  // [latent, .]; null: z = mean
  float* z;            // [latent, .]
  float* kl;           // [kSampleTile] nats
  int64_t latent, stride;
};
struct LatentSlope {
  const float* by_z;    // [latent, .]
  float* by_mean;       // [2 latent, .] out: slopes of means and log variances
  const float* weight;  // [kSampleTile] of the KL of each sample
};

struct AdamWRange {
  float *value, *first, *second;
  const float* gradient;
  int64_t count;
};
struct AdamWStep {
  float scale;      // of the gradient
  float shrink;     // 1 - lr weight_decay
  float step_size;  // lr / (1 - beta1^t)
  float root;       // 1 / sqrt(1 - beta2^t)
  float beta1, beta2, epsilon;
};

struct CpuKernels {
  const char* name;
  void (*product)(const Product& p);
  void (*norm)(const NormBlock& b);
  // slope [width, .] in: to `out`; out: to `pre`. slope_out keeps what came in, for scale and
  // shift.
  void (*norm_backward)(const NormBlock& b, float* slope);
  void (*cosine)(const CosineBlock& b);
  void (*latent)(const LatentBlock& b);
  void (*latent_backward)(const LatentBlock& b, const LatentSlope& s);
  void (*adamw)(const AdamWStep& step, const AdamWRange& range);
  // sums[r] = sum over `columns` of a [rows, columns] (times b, unless null), in eight lanes twice.
  void (*row_sums)(const Product& shape, float* sums);
  double (*square_sum)(const float* x, int64_t count);
};

const CpuKernels& cpu_kernels();
const CpuKernels* const* all_cpu_kernels();

extern const CpuKernels scalar_kernels, avx2_kernels, avx512_kernels;

}  // namespace preimage::lipo
