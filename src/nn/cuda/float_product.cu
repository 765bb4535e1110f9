// Tiles in shared memory, the next piece of the depth on its way in registers while one is worked
// on. Which tile an element falls into changes nothing of its chain, so the tile goes by what fills
// the GPU.
#include "cuda/float_product.hpp"

#include <cstdint>

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

constexpr int kThreads = 256;
constexpr int kDepth = 16;                // of a piece
constexpr int kAcross = 16, kAlong = 16;  // threads of a tile, over columns and rows

struct Arguments {
  const float *a, *matrix, *bias;
  float* c;
  int64_t a_stride;
  int rows, columns, depth;
};

// ROWS x COLUMNS of c in one block, of each thread ROWS / 16 x COLUMNS / 16. TRANSPOSED: the matrix
// lies [columns, depth], otherwise [depth, columns].
template <int ROWS, int COLUMNS, bool TRANSPOSED>
struct Tile {
  static constexpr int kOwnRows = ROWS / kAlong, kOwnColumns = COLUMNS / kAcross;
  static constexpr int kOfA = ROWS * kDepth / kThreads, kOfMatrix = COLUMNS * kDepth / kThreads;
  // A row more of padding, in whole vectors of four, against bank conflicts of the writes.
  float a[2][kDepth][ROWS + 4], matrix[2][kDepth][COLUMNS + 4];

  // What one thread brings of a piece; zeros beyond the edges, which a chain does not notice.
  static __device__ void fetch(const Arguments& g, int first_row, int first_column, int depth,
                               float (&of_a)[kOfA], float (&of_matrix)[kOfMatrix]) {
    const int t = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int i = 0; i < kOfA; ++i) {
      const int row = first_row + t / kDepth + i * (kThreads / kDepth), k = depth + t % kDepth;
      of_a[i] = row < g.rows && k < g.depth ? g.a[row * g.a_stride + k] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < kOfMatrix; ++i) {
      if constexpr (TRANSPOSED) {
        const int column = first_column + t / kDepth + i * (kThreads / kDepth);
        const int k = depth + t % kDepth;
        of_matrix[i] = column < g.columns && k < g.depth
                           ? g.matrix[static_cast<int64_t>(column) * g.depth + k]
                           : 0.0f;
      } else {
        const int place = t + i * kThreads;
        const int column = first_column + place % COLUMNS, k = depth + place / COLUMNS;
        of_matrix[i] = column < g.columns && k < g.depth
                           ? g.matrix[static_cast<int64_t>(k) * g.columns + column]
                           : 0.0f;
      }
    }
  }
  __device__ void keep(int buffer, const float (&of_a)[kOfA], const float (&of_matrix)[kOfMatrix]) {
    const int t = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int i = 0; i < kOfA; ++i)
      a[buffer][t % kDepth][t / kDepth + i * (kThreads / kDepth)] = of_a[i];
#pragma unroll
    for (int i = 0; i < kOfMatrix; ++i) {
      if constexpr (TRANSPOSED) {
        matrix[buffer][t % kDepth][t / kDepth + i * (kThreads / kDepth)] = of_matrix[i];
      } else {
        const int place = t + i * kThreads;
        matrix[buffer][place / COLUMNS][place % COLUMNS] = of_matrix[i];
      }
    }
  }
};

template <int ROWS, int COLUMNS, bool TRANSPOSED>
__global__ void __launch_bounds__(kThreads) float_product_kernel(Arguments g) {
  using T = Tile<ROWS, COLUMNS, TRANSPOSED>;
  __shared__ T tile;
  const int first_row = static_cast<int>(blockIdx.x) * ROWS;
  const int first_column = static_cast<int>(blockIdx.y) * COLUMNS;
  const int across = static_cast<int>(threadIdx.x) % kAcross;
  const int along = static_cast<int>(threadIdx.x) / kAcross;
  float of_a[T::kOfA], of_matrix[T::kOfMatrix];
  float sum[T::kOwnRows][T::kOwnColumns] = {};
  T::fetch(g, first_row, first_column, 0, of_a, of_matrix);
  tile.keep(0, of_a, of_matrix);
  __syncthreads();
  const int pieces = (g.depth + kDepth - 1) / kDepth;
  for (int piece = 0; piece < pieces; ++piece) {
    const int here = piece % 2;
    if (piece + 1 < pieces)
      T::fetch(g, first_row, first_column, (piece + 1) * kDepth, of_a, of_matrix);
#pragma unroll
    for (int k = 0; k < kDepth; ++k) {
      float rows[T::kOwnRows], columns[T::kOwnColumns];
#pragma unroll
      for (int i = 0; i < T::kOwnRows; ++i) rows[i] = tile.a[here][k][along * T::kOwnRows + i];
#pragma unroll
      for (int j = 0; j < T::kOwnColumns; ++j)
        columns[j] = tile.matrix[here][k][across * T::kOwnColumns + j];
#pragma unroll
      for (int i = 0; i < T::kOwnRows; ++i) {
#pragma unroll
        for (int j = 0; j < T::kOwnColumns; ++j) sum[i][j] = fmaf(rows[i], columns[j], sum[i][j]);
      }
    }
    // The other buffer was read before the last barrier.
    if (piece + 1 < pieces) tile.keep(1 - here, of_a, of_matrix);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < T::kOwnRows; ++i) {
    const int row = first_row + along * T::kOwnRows + i;
    if (row >= g.rows) continue;
#pragma unroll
    for (int j = 0; j < T::kOwnColumns; ++j) {
      const int column = first_column + across * T::kOwnColumns + j;
      if (column < g.columns)
        g.c[static_cast<int64_t>(row) * g.columns + column] =
            g.bias ? sum[i][j] + g.bias[column] : sum[i][j];
    }
  }
}

template <int ROWS, int COLUMNS>
void launch(const Arguments& g, bool transposed) {
  const auto blocks = [](int count, int of_each) {
    return static_cast<unsigned>((count + of_each - 1) / of_each);
  };
  const dim3 grid(blocks(g.rows, ROWS), blocks(g.columns, COLUMNS));
  const auto stream = at::cuda::getCurrentCUDAStream();
  if (transposed) {
    float_product_kernel<ROWS, COLUMNS, true><<<grid, kThreads, 0, stream>>>(g);
  } else {
    float_product_kernel<ROWS, COLUMNS, false><<<grid, kThreads, 0, stream>>>(g);
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void multiply(const Arguments& g, bool transposed) {
  if (g.rows == 0 || g.columns == 0) return;
  const auto tiles = [&](int64_t rows, int64_t columns) {
    return (g.rows + rows - 1) / rows * ((g.columns + columns - 1) / columns);
  };
  const int64_t enough = 2 * at::cuda::getCurrentDeviceProperties()->multiProcessorCount;
  if (tiles(128, 128) >= enough) {
    launch<128, 128>(g, transposed);
  } else if (tiles(64, 64) >= enough) {
    launch<64, 64>(g, transposed);
  } else {
    launch<16, 32>(g, transposed);
  }
}

void check_matrix(const at::Tensor& x, const at::Tensor& matrix) {
  base::check(matrix.is_contiguous() && matrix.scalar_type() == at::kFloat &&
                  x.scalar_type() == at::kFloat && matrix.size(0) <= (int64_t{1} << 21),
              "a float32 product on CUDA is given a dense matrix of at most 2^21 rows");
}

}  // namespace

at::Tensor cuda_float_linear(const at::Tensor& x, const at::Tensor& matrix,
                             const at::Tensor& bias) {
  check_matrix(x, matrix);
  const c10::cuda::CUDAGuard guard(x.device());
  const auto rows = x.stride(1) == 1 ? x : x.contiguous();
  auto y = at::empty({x.size(0), matrix.size(0)}, x.options());
  multiply({rows.const_data_ptr<float>(), matrix.const_data_ptr<float>(),
            bias.defined() ? bias.const_data_ptr<float>() : nullptr, y.data_ptr<float>(),
            rows.stride(0), static_cast<int>(x.size(0)), static_cast<int>(matrix.size(0)),
            static_cast<int>(matrix.size(1))},
           /*transposed=*/true);
  return y;
}

at::Tensor cuda_float_input_gradient(const at::Tensor& dy, const at::Tensor& matrix) {
  check_matrix(dy, matrix);
  const c10::cuda::CUDAGuard guard(dy.device());
  const auto rows = dy.stride(1) == 1 ? dy : dy.contiguous();
  auto dx = at::empty({dy.size(0), matrix.size(1)}, dy.options());
  multiply({rows.const_data_ptr<float>(), matrix.const_data_ptr<float>(), nullptr,
            dx.data_ptr<float>(), rows.stride(0), static_cast<int>(dy.size(0)),
            static_cast<int>(matrix.size(1)), static_cast<int>(matrix.size(0))},
           /*transposed=*/false);
  return dx;
}

}  // namespace preimage::nn
