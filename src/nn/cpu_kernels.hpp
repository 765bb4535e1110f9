// The float32 kernels of the CPU, one table for each instruction set. All tables give the same
// bits: every output is one fixed chain of fused multiply-adds, whatever the vector width, so a
// row's result depends neither on its neighbours nor on the number of threads.
#pragma once

#include <cstdint>

namespace preimage::nn {

// Columns of a packed panel.
inline constexpr int64_t kPanel = 32;

// C[m, n] = sum_k A(m, k) B(k, n) for a block of rows and panels of packed B.
struct GemmTile {
  const float* a;  // A(m, k) = a[m * a_row + k * a_col]
  int64_t a_row, a_col;
  const float* packed;  // [panels, depth, kPanel], zero beyond the last column
  const float* bias;    // [columns] or null; added after the chain
  float* c;             // [rows, columns], leading dimension `c_row`
  int64_t c_row;
  int64_t depth, columns;
  bool accumulate;  // the chain starts from C instead of zero
};

// Attention of one sequence and one key/value head with its group of query heads. Query row i
// stands at position `first_position + i` and sees the keys 0..position.
struct AttentionTile {
  const float* q;  // row i, head g: q[i * q_row + g * head_dim]
  const float* k;  // row j: k[j * kv_row]
  const float* v;  // row j: v[j * kv_row]
  int64_t q_row, kv_row;
  int64_t queries, first_position, group, head_dim;
  float scale;
  float* out;  // row i, head g: out[i * out_row + g * head_dim]
  int64_t out_row;
  float* lse;  // row i, head g: lse[i * lse_row + g]: log-sum-exp of the scaled scores; or null
  int64_t lse_row;
  float* scratch;  // attention_scratch() floats
};

struct AttentionGradTile {
  AttentionTile forward;   // with out and lse of the forward pass
  const float* d_out;      // like out
  float *d_q, *d_k, *d_v;  // like q, k, v (same strides); overwritten
};

int64_t attention_scratch(int64_t queries, int64_t first_position, int64_t group, int64_t head_dim);

struct TokenLoss {
  float nll;
  bool greedy;  // the target is the first of the largest logits
};

struct CpuKernels {
  const char* name;
  void (*gemm)(const GemmTile&, int64_t row_begin, int64_t row_end, int64_t panel_begin,
               int64_t panel_end);
  // y = x * rstd * weight, rstd = 1 / sqrt(mean(x^2) + eps)
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t rows, int64_t width,
                   float* y, float* rstd);
  // dx of rms_norm; when `normed` is not null it receives dy * x * rstd, whose column sums are
  // dweight.
  void (*rms_norm_backward)(const float* dy, const float* x, const float* weight, const float* rstd,
                            int64_t rows, int64_t width, float* dx, float* normed);
  // out = silu(gate) * up; gate_up is [rows, 2 * inner], gate first
  void (*swiglu)(const float* gate_up, int64_t rows, int64_t inner, float* out);
  void (*swiglu_backward)(const float* d_out, const float* gate_up, int64_t rows, int64_t inner,
                          float* d_gate_up);
  // nll = -log softmax(logits)[target]. With `gradient` the logits are replaced by
  // weight * (softmax - onehot(target)).
  TokenLoss (*softmax_nll)(float* logits, int64_t vocabulary, int64_t target, float weight,
                           bool gradient);
  void (*attention)(const AttentionTile&);
  void (*attention_backward)(const AttentionGradTile&);
};

// The widest table that this processor runs; PREIMAGE_CPU_KERNELS=avx512|avx2|scalar asks for one
// (for tests and for measuring).
const CpuKernels& cpu_kernels();
// All tables that this processor runs, widest first; null-terminated.
const CpuKernels* const* all_cpu_kernels();

extern const CpuKernels avx512_kernels;
extern const CpuKernels avx2_kernels;
extern const CpuKernels scalar_kernels;

}  // namespace preimage::nn
