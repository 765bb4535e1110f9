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
  const float* packed;  // [panels, depth, kPanel], zero beyond the last column; or null, and
  const uint16_t* packed_bf16;  // the same as bits of bfloat16: half the bytes, the same chains
  const float* bias;            // [columns] or null; added after the chain
  float* c;                     // [rows, columns], leading dimension `c_row`
  int64_t c_row;
  int64_t depth, columns;
  bool accumulate;  // the chain starts from C instead of zero
};

// Keys of one block; a row sums its keys block by block, by absolute position.
inline constexpr int64_t kKeyBlock = 16;

// Attention of one sequence and one key/value head with its group of query heads. Query row i
// stands at position `first_position + i` and sees the keys from max(0, position - window + 1)
// (from 0 without a window) to its position.
struct AttentionTile {
  const float* q;      // row i, head g: q[i * q_row + g * head_dim]
  const float *k, *v;  // of key j: k[j * k_row + d], v[j * v_row + d]; with pages
  // k[pages[j / kKeyBlock] * k_page + d * kKeyBlock + j % kKeyBlock] and
  // v[(pages[j / kKeyBlock] * kKeyBlock + j % kKeyBlock) * v_row + d].
  const int32_t* pages;  // or null
  int64_t q_row, k_row, k_page, v_row;
  int64_t queries, first_position, group, head_dim, value_dim;
  int64_t window;  // 0: none
  float scale;
  const float* sinks;  // [group] or null: a further logit of each head, without a value
  float* out;          // row i, head g: out[i * out_row + g * value_dim]
  int64_t out_row;
  float*
      lse;  // row i, head g: lse[i * lse_row + g]: log-sum-exp of the scaled scores and the sink;
  int64_t lse_row;  // or null
  float* scratch;   // attention_scratch() floats
};

struct AttentionGradTile {
  AttentionTile forward;   // with out and lse of the forward pass, without pages
  const float* d_out;      // like out
  float *d_q, *d_k, *d_v;  // like q, k, v (same strides); overwritten
};

// `keys`: the position after the last query.
int64_t attention_scratch(int64_t keys, int64_t group, int64_t widest_head);

// Attention of one head over one span of keys: query row i sees all keys, or with `causal` the keys
// up to its position first_position + i.
struct BiasedTile {
  const float *q, *k, *v;  // row r: q[r * q_row], k[r * kv_row], v[r * kv_row]
  int64_t q_row, kv_row;
  int64_t queries, keys, first_position, head_dim;
  bool causal;
  float scale;
  // Added to the score of query i and key j: bias[j - first_position - i], readable 16 floats
  // beyond the farthest distance; or null.
  const float* bias;
  float* out;  // row i: out[i * out_row]
  int64_t out_row;
  float* scratch;  // biased_scratch() floats
};
int64_t biased_scratch(int64_t keys, int64_t head_dim);

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
  void (*biased_attention)(const BiasedTile&);
  // out = x Phi(x)
  void (*gelu)(const float* x, int64_t count, float* out);
  // out = gelu(gate) * up, tanh form; gate_up is [rows, 2 * inner], gate first
  void (*gated_gelu)(const float* gate_up, int64_t rows, int64_t inner, float* out);
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
