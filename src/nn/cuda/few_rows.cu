// With few rows a product is bound by reading the matrix, and cuBLASLt's tiles without split-K are
// too few to keep the memory busy. Here a block owns as few as 16 columns and keeps many pieces of
// both operands under way. Bytes: 2 columns depth of the matrix, and the rows once for each block,
// from the second-level cache.
#include <cuda_bf16.h>

#include <algorithm>

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>

#include "cuda/few_rows.hpp"
#include "cuda/tensor_cores.cuh"

namespace preimage::nn {
namespace {

constexpr int kThreads = 128;
constexpr int kDepth = 128;  // of a piece
constexpr int kChunk = 8;    // bfloat16 of a copy of 16 bytes
constexpr int kChunks = kDepth / kChunk;
constexpr int kRowBytes = kDepth * 2;

// Of a block; narrow ones are many, and two share a multiprocessor.
constexpr int shared_bytes(int columns) {
  return columns == 16 ? 100 << 10 : 200 << 10;
}

struct Arguments {
  const __nv_bfloat16 *x, *matrix;
  __nv_bfloat16* y;
  int rows, columns, depth;
  int64_t y_stride;
};

// Chunks of a row are permuted by the row's number, so that eight rows of one chunk lie in
// different banks.
__device__ inline uint32_t place(int row, int chunk) {
  return static_cast<uint32_t>(row * kRowBytes + (chunk ^ row % 8) * 16);
}

__device__ inline void copy_chunk(uint32_t to, const void* from, bool there) {
  const int bytes = there ? 16 : 0;  // the rest becomes zeros
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(bytes));
}

// ROWS (a multiple of 16) of x and COLUMNS of the matrix in one block. The matrix' columns are the
// 16 rows of a tile, the rows of x its eight columns. Warps share out the tiles: first the columns,
// then the rows.
template <int ROWS, int COLUMNS>
struct Plan {
  static constexpr int kPieceBytes = (ROWS + COLUMNS) * kRowBytes;
  static constexpr int kPieces = std::min(16, shared_bytes(COLUMNS) / kPieceBytes);
  static constexpr int kWarpsAlong = COLUMNS / 16;      // 1, 2 or 4
  static constexpr int kWarpsAcross = 4 / kWarpsAlong;  // 4, 2 or 1
  static constexpr int kPairs =                         // of tiles of eight rows, of a warp
      std::max(1, ROWS / 16 / kWarpsAcross);
};

// What one thread copies of every piece: the chunk `threadIdx.x % 16` of each eighth row.
// Everything that does not change from piece to piece is made once: with one warp a scheduler
// nothing would hide it.
template <int ROWS, int COLUMNS>
struct Copier {
  static constexpr int kStride = kThreads / kChunks;  // rows between two of a thread
  const __nv_bfloat16 *matrix, *x;
  int64_t step;  // numbers between two rows of a thread
  uint32_t offset;
  int rows_left, columns_left;

  __device__ Copier(const Arguments& a, int first_column) {
    const int row = threadIdx.x / kChunks, chunk = threadIdx.x % kChunks;
    matrix = a.matrix + (first_column + row) * static_cast<int64_t>(a.depth) + chunk * kChunk;
    x = a.x + row * static_cast<int64_t>(a.depth) + chunk * kChunk;
    step = static_cast<int64_t>(kStride) * a.depth;
    offset = place(row, chunk);
    columns_left = a.columns - first_column - row, rows_left = a.rows - row;
  }
  // Copies the next piece.
  __device__ void operator()(uint32_t to) {
    const __nv_bfloat16* from = matrix;
#pragma unroll
    for (int i = 0; i < COLUMNS / kStride; ++i, from += step)
      copy_chunk(to + offset + i * kStride * kRowBytes, from, i * kStride < columns_left);
    from = x;
#pragma unroll
    for (int i = 0; i < ROWS / kStride; ++i, from += step)
      copy_chunk(to + offset + (COLUMNS + i * kStride) * kRowBytes, from, i * kStride < rows_left);
    matrix += kDepth, x += kDepth;
  }
};

template <int ROWS, int COLUMNS>
__global__ void __launch_bounds__(kThreads) few_rows_kernel(Arguments a) {
  using P = Plan<ROWS, COLUMNS>;
  extern __shared__ __align__(128) uint8_t pieces_memory[];
  const uint32_t memory = shared_address(pieces_memory);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int along = warp % P::kWarpsAlong, across = warp / P::kWarpsAlong;
  const int first_column = blockIdx.x * COLUMNS, pieces = a.depth / kDepth;
  const bool works = across * P::kPairs * 16 < ROWS;  // with few rows some warps only copy
  const auto slot = [&](int piece) {
    return memory + static_cast<uint32_t>(piece % P::kPieces * P::kPieceBytes);
  };
  Copier<ROWS, COLUMNS> copy(a, first_column);
  for (int piece = 0; piece < P::kPieces - 1; ++piece) {
    if (piece < pieces) copy(slot(piece));
    asm volatile("cp.async.commit_group;");
  }
  float sum[2 * P::kPairs][4] = {};
  for (int piece = 0; piece < pieces; ++piece) {
    asm volatile("cp.async.wait_group %0;" ::"n"(P::kPieces - 2));
    __syncthreads();  // this piece is there, and the last one has been read
    const int next = piece + P::kPieces - 1;
    if (next < pieces) copy(slot(next));
    asm volatile("cp.async.commit_group;");
    if (!works) continue;
    // The operands of a step are loaded while the one before it is multiplied.
    const uint32_t here = slot(piece);
    uint32_t matrix[2][4], rows[2][P::kPairs][4];
    const auto load = [&](int step) {
      load_matrices(matrix[step % 2], here + place(along * 16 + lane % 16, 2 * step + lane / 16));
#pragma unroll
      for (int pair = 0; pair < P::kPairs; ++pair) {
        const int row = COLUMNS + (across * P::kPairs + pair) * 16 + lane / 16 * 8 + lane % 8;
        load_matrices(rows[step % 2][pair], here + place(row, 2 * step + lane / 8 % 2));
      }
    };
    load(0);
#pragma unroll
    for (int step = 0; step < kDepth / 16; ++step) {
      if (step + 1 < kDepth / 16) load(step + 1);
#pragma unroll
      for (int pair = 0; pair < P::kPairs; ++pair) {
        const auto& of = rows[step % 2][pair];
        multiply_add(sum[2 * pair], matrix[step % 2], of[0], of[1]);
        multiply_add(sum[2 * pair + 1], matrix[step % 2], of[2], of[3]);
      }
    }
  }
  if (!works) return;
#pragma unroll
  for (int tile = 0; tile < 2 * P::kPairs; ++tile) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int column = first_column + along * 16 + lane / 4 + i / 2 * 8;
      const int row = across * P::kPairs * 16 + tile * 8 + lane % 4 * 2 + i % 2;
      if (row < a.rows && column < a.columns)
        a.y[row * a.y_stride + column] = __float2bfloat16(sum[tile][i]);
    }
  }
}

template <int ROWS, int COLUMNS>
void launch(const Arguments& a) {
  using P = Plan<ROWS, COLUMNS>;
  constexpr int bytes = P::kPieces * P::kPieceBytes;
  const auto kernel = few_rows_kernel<ROWS, COLUMNS>;
  C10_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  const auto blocks = static_cast<unsigned>((a.columns + COLUMNS - 1) / COLUMNS);
  kernel<<<blocks, kThreads, bytes, at::cuda::getCurrentCUDAStream()>>>(a);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <int ROWS>
void launch(const Arguments& a, int block_columns) {
  if (block_columns == 16) launch<ROWS, 16>(a);
  if (block_columns == 32) launch<ROWS, 32>(a);
  if (block_columns == 64) launch<ROWS, 64>(a);
}

}  // namespace

bool few_rows_supports(const FewRows& p) {
  return p.rows <= kMostFewRows && p.depth % kDepth == 0 && p.depth > 0;
}

void cuda_few_rows(const FewRows& p, int block_columns) {
  const Arguments a{static_cast<const __nv_bfloat16*>(p.x),
                    static_cast<const __nv_bfloat16*>(p.matrix),
                    static_cast<__nv_bfloat16*>(p.y),
                    static_cast<int>(p.rows),
                    static_cast<int>(p.columns),
                    static_cast<int>(p.depth),
                    p.y_stride};
  if (p.rows <= 16) {
    launch<16>(a, block_columns);
  } else if (p.rows <= 32) {
    launch<32>(a, block_columns);
  } else {
    launch<64>(a, block_columns);
  }
}

}  // namespace preimage::nn
