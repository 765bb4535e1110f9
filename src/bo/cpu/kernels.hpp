// The loops of the Gaussian process for one instruction set: double precision, one thread, each
// element of a product one chain of fused multiply-adds, so that all tables give the same bits.
#pragma once

#include <cstdint>

namespace preimage::bo {

// A row-major matrix that somebody else owns. Rows and columns are padded by their owner: to
// multiples of 8 where a matrix gives the rows of a result, of 16 where it gives its columns.
struct Block {
  double* data = nullptr;
  int64_t rows = 0, columns = 0;
  int64_t stride = 0;
};

inline constexpr int64_t kRowTile = 8;      // rows of a result are computed so many at a time
inline constexpr int64_t kColumnTile = 16;  // and columns so many

// LayerNorm over the rows of a column block, and what its gradient needs.
struct NormLayer {
  const double* bias = nullptr;  // [hidden] before the ReLU
  const double *scale = nullptr, *shift = nullptr;
  int64_t hidden = 0;      // rows that count; those beyond are zero
  Block pre;               // [hidden, columns] in: products; out: with bias, before the ReLU
  Block unit;              // [hidden, columns] out: (relu - mean) / std
  double* root = nullptr;  // [columns] out: 1 / std
  Block out;               // [hidden, columns] out: unit scale + shift
};
// Its gradient: `slope` [hidden, columns] in: to `out`; out: to `pre`. Sums over columns go to
// by_*.
struct NormGradient {
  Block slope;
  double *by_bias = nullptr, *by_scale = nullptr, *by_shift = nullptr;  // [hidden]
};

// k(x, x') = variance M52(|x - x'|) for features [features, points] (a feature a row).
struct Covariance {
  const double* features = nullptr;
  int64_t stride = 0, count = 0;  // count: of features
  double variance = 1;
};

struct AdamW {
  double lr = 0, weight_decay = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  int64_t step = 1;  // from 1
};
struct AdamState {
  double *value, *first, *second;
  const double* gradient;
};

struct CpuKernels {
  const char* name;
  // c [p.columns, q.columns] = p' q, summed over rows [first, p.rows).
  void (*product)(const Block& p, const Block& q, const Block& c, int64_t first);
  // c = lower q and c = lower' q for lower [n, n], zero above the diagonal, given as p = lower' and
  // p = lower: what is zero is left out.
  void (*lower_product)(const Block& p, const Block& q, const Block& c);
  void (*upper_product)(const Block& p, const Block& q, const Block& c);
  // k, upper triangle [n, n] in, becomes U with U' U = k; inverse becomes U^-T, lower, zero above
  // where it is read. False where a pivot is not positive.
  bool (*factorise)(const Block& k, const Block& inverse);
  // Upper triangle of the covariance [n, n] of all points, and of `slope` =
  // variance 5/3 (1 + sqrt5 r) exp(-sqrt5 r): dk/dx = -slope (x - x').
  void (*covariance)(const Covariance& c, int64_t points, const Block& k, const Block& slope);
  // The same between points and others: [points, others.columns]; others [features, columns].
  void (*cross)(const Covariance& c, const Block& others, const Block& k, const Block& slope);
  // weights = (alpha alpha' - inverse' inverse) / 2, elementwise times slope (upper triangle) into
  // `out` [n, n], symmetric; the diagonal of inverse' inverse into `diagonal` [n].
  void (*weigh)(const Block& inverse, const double* alpha, const Block& slope, const Block& out,
                double* diagonal);
  // out = lower x and out = lower' x, lower [n, n] lower triangular.
  void (*lower_times)(const Block& lower, const double* x, double* out);
  void (*lower_transposed_times)(const Block& lower, const double* x, double* out);
  void (*norm)(const NormLayer& layer);
  void (*norm_backward)(const NormLayer& layer, const NormGradient& gradient);
  void (*adamw)(const AdamW& options, const AdamState& state, int64_t count);
  void (*transpose)(const Block& from, const Block& to);
};

// The best table that this processor runs; PREIMAGE_CPU_KERNELS=scalar|avx2|avx512 names another.
const CpuKernels& cpu_kernels();
// All tables that it runs, best first, null at the end: for the tests.
const CpuKernels* const* all_cpu_kernels();

extern const CpuKernels scalar_kernels, avx2_kernels, avx512_kernels;

}  // namespace preimage::bo
