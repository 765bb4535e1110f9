// A block owns 32 columns of a matrix for each of its warps and up to 64 rows. Pieces of both
// operands come into shared memory by asynchronous copies; numbers in few bits are decoded in
// registers, on the way to the tensor cores, once for all rows of the block. Bytes: the matrices of
// all groups that have rows, once for each 64 rows of a group.
#include <cuda_bf16.h>

#include <algorithm>

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "cuda/few_bits.cuh"
#include "cuda/grouped_product.hpp"
#include "cuda/tensor_cores.cuh"
#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

constexpr int kRows = static_cast<int>(kTileRows);
constexpr int kDepth = 64;  // of a piece
constexpr int kWarpColumns = 32;
constexpr int kRowBytes = kDepth * 2;  // of x in a piece

struct Arguments {
  const __nv_bfloat16* x;
  const int64_t* addresses;
  const int32_t *order, *tiles;  // null without groups
  __nv_bfloat16* y;
  int64_t y_stride;
  int rows, columns, depth, choices;
  int block_rows, block_columns, scale_columns;
  bool to_pairs;
};

// Bytes of kDepth numbers of a matrix.
constexpr int piece_bytes(Form form) {
  return form == Form::bfloat16 ? 128 : form == Form::int8 || form == Form::fp8 ? 64 : 32;
}

template <Form FORM, int WARPS>
struct Plan {
  static constexpr int kColumns = WARPS * kWarpColumns, kThreads = WARPS * 32;
  static constexpr int kColumnBytes = piece_bytes(FORM), kChunks = kColumnBytes / 16;
  static constexpr int kMatrixBytes = kColumns * kColumnBytes;
  static constexpr int kPieceBytes = kMatrixBytes + kRows * kRowBytes;
  static constexpr int kPieces = FORM == Form::bfloat16 ? 3 : 4;
  static constexpr int kStagedRow = kColumns * 2 + 16;  // of a finished row, 16 against conflicts
  static_assert(kPieces * kPieceBytes >= kRows * kStagedRow, "results are staged in their place");
};

__device__ inline void copy_chunk(uint32_t to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(bytes));
}

// Chunks of a column's piece are permuted so that eight columns of one chunk lie in different
// banks.
template <int CHUNKS>
__device__ inline int place(int row, int chunk) {
  constexpr int kApart = 8 / CHUNKS;  // neighbours that fill a line of the banks
  return row * CHUNKS * 16 + (chunk ^ row / kApart % CHUNKS) * 16;
}

// Where this block's rows lie.
struct Tile {
  int group, first, rows;
};
__device__ inline Tile tile_of(const Arguments& a) {
  const int i = static_cast<int>(blockIdx.y);
  if (!a.tiles) return {0, i * kRows, min(kRows, a.rows - i * kRows)};
  return {a.tiles[3 * i], a.tiles[3 * i + 1], a.tiles[3 * i + 2]};
}

// What one thread copies of every piece. What does not change from piece to piece is made once.
template <Form FORM, int WARPS>
struct Copier {
  using P = Plan<FORM, WARPS>;
  static constexpr int kRowStride = P::kThreads / 8, kOwnRows = kRows / kRowStride;
  static constexpr int kColumnStride = P::kThreads / P::kChunks;
  static constexpr int kOwnColumns = P::kColumns / kColumnStride;
  const __nv_bfloat16* x[kOwnRows];
  const uint8_t* matrix;
  int64_t column_step;  // bytes
  int rows_left, columns_left, depth_left_of_x, depth_left_of_matrix;

  __device__ Copier(const Arguments& a, const Tile& tile, const void* numbers, int first_column) {
    const int own = threadIdx.x / 8, chunk = threadIdx.x % 8;
    rows_left = tile.rows - own;
#pragma unroll
    for (int i = 0; i < kOwnRows; ++i) {
      if (i * kRowStride >= rows_left) continue;
      const int at = tile.first + own + i * kRowStride;
      const int from = a.choices > 0 && a.order ? a.order[at] / a.choices : at;
      x[i] = a.x + static_cast<int64_t>(from) * a.depth + chunk * 8;
    }
    const int column = first_column + static_cast<int>(threadIdx.x) / P::kChunks;
    const int64_t column_bytes = static_cast<int64_t>(a.depth) * P::kColumnBytes / kDepth;
    matrix = static_cast<const uint8_t*>(numbers) + column * column_bytes +
             threadIdx.x % P::kChunks * 16;
    column_step = kColumnStride * column_bytes;
    columns_left = a.columns - column;
    depth_left_of_x = a.depth - chunk * 8;
    depth_left_of_matrix =
        a.depth - static_cast<int>(threadIdx.x % P::kChunks) * (kDepth / P::kChunks);
  }
  // Copies the next piece. Beyond the depth both become zeros.
  __device__ void operator()(uint32_t to) {
    const uint8_t* from = matrix;
    const int bytes = depth_left_of_matrix > 0 ? 16 : 0;
#pragma unroll
    for (int i = 0; i < kOwnColumns; ++i, from += column_step) {
      const int column = static_cast<int>(threadIdx.x) / P::kChunks + i * kColumnStride;
      copy_chunk(to + place<P::kChunks>(column, threadIdx.x % P::kChunks), from,
                 i * kColumnStride < columns_left ? bytes : 0);
    }
    const int of_x = depth_left_of_x > 0 ? 16 : 0;
#pragma unroll
    for (int i = 0; i < kOwnRows; ++i) {
      const int row = static_cast<int>(threadIdx.x) / 8 + i * kRowStride;
      if (i * kRowStride < rows_left) {
        copy_chunk(to + P::kMatrixBytes + place<8>(row, threadIdx.x % 8), x[i], of_x);
        x[i] += kDepth;
      }
    }
    matrix += P::kColumnBytes, depth_left_of_x -= kDepth, depth_left_of_matrix -= kDepth;
  }
};

__device__ inline uint4 load_chunk(uint32_t address) {
  uint4 out;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(out.x), "=r"(out.y), "=r"(out.z), "=r"(out.w)
               : "r"(address)
               : "memory");
  return out;
}

// The numbers of a warp's 32 columns (m = 0, 1 times h = 0, 1: four columns of a thread) that two
// steps (four bits) or one (eight bits) need.
struct Raw {
  uint4 of[2][2];
};

// What a thread reads of a piece in shared memory: offsets that are the same in every piece.
template <int CHUNKS>
struct Offsets {
  uint32_t matrix[CHUNKS];     // by chunk, of m = h = 0
  uint32_t rows[kDepth / 16];  // by step, of the first pair of tiles

  __device__ Offsets(int warp_column, int matrix_bytes) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; ++chunk) {
      // Operands in bfloat16 come by load_matrices: a row of the operand from each thread.
      const int column = CHUNKS == 8 ? lane % 16 : lane / 4;
      matrix[chunk] = place<CHUNKS>(warp_column + column, chunk);
    }
#pragma unroll
    for (int step = 0; step < kDepth / 16; ++step)
      rows[step] = matrix_bytes + place<8>(lane / 16 * 8 + lane % 8, 2 * step + lane / 8 % 2);
  }
  __device__ void load(uint32_t here, int chunk, Raw& raw) const {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      raw.of[i / 2][i % 2] = load_chunk(here + matrix[chunk] + i * 8 * CHUNKS * 16);
  }
};

// The scales of the four columns of a thread. Those of mxfp4 lie in shared memory, a byte for 32
// numbers.
template <Form FORM>
struct Scales {
  using Value = std::conditional_t<FORM == Form::mxfp4, uint32_t, float>;
  using Pointer = std::conditional_t<FORM == Form::mxfp4, const uint8_t*, const float*>;
  Pointer of[2][2];
  int last, block_columns;
  bool one;  // for all numbers of a row

  __device__ Scales(const Arguments& a, const void* scales, const uint8_t* bytes, int first_column,
                    int warp_column)
      : last(a.scale_columns - 1), block_columns(a.block_columns), one(a.scale_columns == 1) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int column = warp_column + i * 8 + static_cast<int>(threadIdx.x) % 32 / 4;
      if constexpr (FORM == Form::mxfp4) {
        of[i / 2][i % 2] = bytes + column * a.scale_columns;
      } else if constexpr (FORM != Form::bfloat16) {
        const int row = min(a.columns - 1, first_column + column) / a.block_rows;
        of[i / 2][i % 2] =
            static_cast<const float*>(scales) + static_cast<int64_t>(row) * a.scale_columns;
      }
    }
  }
  // Of the 32 numbers `block`.
  __device__ void load(int block, Value (&out)[2][2]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (FORM == Form::mxfp4) {
        // The byte is the exponent; 0 means 2^-127, which bfloat16 writes as a subnormal number.
        const uint32_t byte = of[i / 2][i % 2][min(block, last)];
        out[i / 2][i % 2] = max(byte << 7, 0x40u) * 0x10001u;
      } else {
        out[i / 2][i % 2] =
            __ldg(of[i / 2][i % 2] + (one ? 0 : min(block * 32 / block_columns, last)));
      }
    }
  }
};

// Finished rows go through shared memory, where the pieces lay, so that they leave in whole chunks.
template <Form FORM, int WARPS, int PAIRS>
__device__ void write_rows(const Arguments& a, const Tile& tile, const __nv_bfloat16* bias,
                           int first_column, const float (&sum)[2][2 * PAIRS][4], uint8_t* memory) {
  using P = Plan<FORM, WARPS>;
  auto* staged = reinterpret_cast<__nv_bfloat16*>(memory);
  constexpr int kStagedRow = P::kStagedRow / 2;
  const int lane = threadIdx.x % 32, warp_column = threadIdx.x / 32 * kWarpColumns;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int column = warp_column + m * 16 + h * 8 + lane / 4;
      const bool there = bias != nullptr && first_column + column < a.columns;
      const float add = there ? __bfloat162float(bias[first_column + column]) : 0.0f;
#pragma unroll
      for (int t = 0; t < 2 * PAIRS; ++t) {
#pragma unroll
        for (int i = 0; i < 2; ++i)
          staged[(t * 8 + lane % 4 * 2 + i) * kStagedRow + column] =
              __float2bfloat16(sum[m][t][2 * h + i] + add);
      }
    }
  }
  __syncthreads();
  constexpr int kRowChunks = P::kColumns / 8;
  for (int i = threadIdx.x; i < tile.rows * kRowChunks; i += P::kThreads) {
    const int row = i / kRowChunks, column = i % kRowChunks * 8;
    if (first_column + column >= a.columns) continue;
    const int at = tile.first + row, to = a.to_pairs ? a.order[at] : at;
    *reinterpret_cast<uint4*>(a.y + to * a.y_stride + first_column + column) =
        *reinterpret_cast<const uint4*>(staged + row * kStagedRow + column);
  }
}

// PAIRS: of tiles of eight rows. What a step reads from shared memory is on its way while the step
// before it is multiplied.
template <Form FORM, int WARPS, int PAIRS>
__device__ void multiply_tile(const Arguments& a, const Tile& tile, uint8_t* pieces_memory) {
  using P = Plan<FORM, WARPS>;
  constexpr bool kNarrow = FORM != Form::bfloat16;
  constexpr int kSteps = kDepth / 16;
  constexpr int kChunkSteps = P::kChunks == 2 ? 2 : 1;  // steps that a chunk of numbers lasts
  const uint32_t memory = shared_address(pieces_memory);
  const uint8_t* scale_bytes = pieces_memory + P::kPieces * P::kPieceBytes;
  const int first_column = blockIdx.x * P::kColumns;
  const int warp_column = threadIdx.x / 32 * kWarpColumns;
  const int pieces = (a.depth + kDepth - 1) / kDepth;
  const int64_t* addresses = a.addresses + 3 * tile.group;
  const auto* scales = reinterpret_cast<const void*>(addresses[1]);
  Copier<FORM, WARPS> copy(a, tile, reinterpret_cast<const void*>(addresses[0]), first_column);
  const Scales<FORM> scale_of(a, scales, scale_bytes, first_column, warp_column);
  const Offsets<P::kChunks> offsets(warp_column, P::kMatrixBytes);
  if constexpr (FORM == Form::mxfp4) {
    const auto* from =
        static_cast<const uint8_t*>(scales) + static_cast<int64_t>(first_column) * a.scale_columns;
    const int bytes = min(P::kColumns, a.columns - first_column) * a.scale_columns;
    for (int i = threadIdx.x * 16; i < bytes; i += P::kThreads * 16)
      copy_chunk(shared_address(scale_bytes) + i, from + i, min(16, bytes - i));
  }
  for (int piece = 0; piece < P::kPieces - 1; ++piece) {
    if (piece < pieces) copy(memory + piece * P::kPieceBytes);
    asm volatile("cp.async.commit_group;");
  }
  // Scales are read two steps ahead, those of four bits from shared memory, where they came with
  // the first piece.
  typename Scales<FORM>::Value scale[2][2], next_scale[2][2];
  if constexpr (kNarrow) {
    asm volatile("cp.async.wait_group %0;" ::"n"(P::kPieces - 2));
    __syncthreads();
    scale_of.load(0, scale);
    scale_of.load(1, next_scale);
  }
  float sum[2][2 * PAIRS][4] = {};
  uint32_t here = memory, next = memory + (P::kPieces - 1) * P::kPieceBytes;
  const uint32_t end = memory + P::kPieces * P::kPieceBytes;
  for (int piece = 0; piece < pieces; ++piece) {
    asm volatile("cp.async.wait_group %0;" ::"n"(P::kPieces - 2));
    __syncthreads();  // this piece is there, and the last one has been read
    if (piece + P::kPieces - 1 < pieces) copy(next);
    asm volatile("cp.async.commit_group;");
    Raw raw[2];
    uint32_t dense[2][2][4], rows[2][PAIRS][4];
    const auto load = [&](int step) {
      if constexpr (!kNarrow) {
#pragma unroll
        for (int m = 0; m < 2; ++m)
          load_matrices(dense[step % 2][m],
                        here +
                            (threadIdx.x % 32 < 16 ? offsets.matrix[2 * step]
                                                   : offsets.matrix[2 * step + 1]) +
                            m * 16 * P::kColumnBytes);
      } else if (step % kChunkSteps == 0) {
        offsets.load(here, step / kChunkSteps, raw[step / kChunkSteps % 2]);
      }
#pragma unroll
      for (int pair = 0; pair < PAIRS; ++pair)
        load_matrices(rows[step % 2][pair], here + offsets.rows[step] + pair * 16 * kRowBytes);
    };
    load(0);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      if (step + 1 < kSteps) load(step + 1);
      uint32_t matrix[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        if constexpr (kNarrow) {
          decode<FORM>(raw[step / kChunkSteps % 2].of[m], step % kChunkSteps == 1, scale[m],
                       matrix[m]);
        } else {
#pragma unroll
          for (int i = 0; i < 4; ++i) matrix[m][i] = dense[step % 2][m][i];
        }
      }
      if constexpr (kNarrow) {
        if (step % 2 == 1) {  // each scale is for two steps
#pragma unroll
          for (int i = 0; i < 4; ++i) scale[i / 2][i % 2] = next_scale[i / 2][i % 2];
          scale_of.load(piece * 2 + step / 2 + 2, next_scale);
        }
      }
#pragma unroll
      for (int pair = 0; pair < PAIRS; ++pair) {
        const auto& of = rows[step % 2][pair];
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          multiply_add(sum[m][2 * pair], matrix[m], of[0], of[1]);
          multiply_add(sum[m][2 * pair + 1], matrix[m], of[2], of[3]);
        }
      }
    }
    here = here + P::kPieceBytes == end ? memory : here + P::kPieceBytes;
    next = next + P::kPieceBytes == end ? memory : next + P::kPieceBytes;
  }
  asm volatile("cp.async.wait_all;");
  __syncthreads();  // the pieces have been read
  write_rows<FORM, WARPS, PAIRS>(a, tile, reinterpret_cast<const __nv_bfloat16*>(addresses[2]),
                                 first_column, sum, pieces_memory);
}

template <Form FORM, int WARPS>
__global__ void __launch_bounds__(WARPS * 32) grouped_kernel(Arguments a) {
  extern __shared__ __align__(128) uint8_t pieces_memory[];
  const Tile tile = tile_of(a);
  if (tile.rows <= 0) return;
  if (tile.rows <= 16) {
    multiply_tile<FORM, WARPS, 1>(a, tile, pieces_memory);
  } else if (tile.rows <= 32) {
    multiply_tile<FORM, WARPS, 2>(a, tile, pieces_memory);
  } else {
    multiply_tile<FORM, WARPS, 4>(a, tile, pieces_memory);
  }
}

template <Form FORM, int WARPS>
void launch(const Arguments& a, unsigned tiles) {
  using P = Plan<FORM, WARPS>;
  const int bytes =
      P::kPieces * P::kPieceBytes + (FORM == Form::mxfp4 ? P::kColumns * a.scale_columns : 0);
  const auto kernel = grouped_kernel<FORM, WARPS>;
  C10_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  const dim3 grid(static_cast<unsigned>((a.columns + P::kColumns - 1) / P::kColumns), tiles);
  kernel<<<grid, P::kThreads, bytes, at::cuda::getCurrentCUDAStream()>>>(a);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

// Narrow blocks where wide ones would leave multiprocessors idle. The same bits.
template <Form FORM>
void launch(const Arguments& a, unsigned tiles) {
  const int64_t blocks = static_cast<int64_t>((a.columns + 127) / 128) * tiles;
  if (blocks < 2 * at::cuda::getCurrentDeviceProperties()->multiProcessorCount) {
    launch<FORM, 1>(a, tiles);
  } else {
    launch<FORM, 4>(a, tiles);
  }
}

}  // namespace

void cuda_grouped_product(const GroupedProduct& p, at::Tensor& y) {
  const auto& table = p.table;
  const int64_t rows = p.groups ? p.groups->order.size(0) : p.x.size(0);
  if (rows == 0) return;
  base::check(p.x.is_contiguous() && p.x.scalar_type() == at::kBFloat16 &&
                  p.x.size(1) == table.depth && y.scalar_type() == at::kBFloat16 &&
                  y.stride(1) == 1 && y.stride(0) % 8 == 0 && y.size(0) == rows &&
                  reinterpret_cast<uintptr_t>(p.x.const_data_ptr()) % 16 == 0 &&
                  reinterpret_cast<uintptr_t>(y.const_data_ptr()) % 16 == 0,
              "a grouped product is given dense rows of bfloat16");
  const c10::cuda::CUDAGuard guard(p.x.device());
  Arguments a{};
  a.x = reinterpret_cast<const __nv_bfloat16*>(p.x.const_data_ptr());
  a.addresses = table.addresses.const_data_ptr<int64_t>();
  a.y = reinterpret_cast<__nv_bfloat16*>(y.data_ptr()) + table.first_column;
  a.y_stride = y.stride(0), a.rows = static_cast<int>(rows);
  a.columns = static_cast<int>(table.columns), a.depth = static_cast<int>(table.depth);
  a.choices = static_cast<int>(p.choices), a.to_pairs = p.to_pairs;
  a.block_rows = static_cast<int>(table.block_rows);
  a.block_columns = static_cast<int>(table.block_columns);
  a.scale_columns = static_cast<int>(table.scale_columns);
  auto tiles = static_cast<unsigned>((rows + kTileRows - 1) / kTileRows);
  if (p.groups) {
    a.order = p.groups->order.const_data_ptr<int32_t>();
    a.tiles = p.groups->tiles.const_data_ptr<int32_t>();
    tiles = static_cast<unsigned>(p.groups->tiles.size(0));
  }
  switch (table.form) {
    case Form::bfloat16:
      return launch<Form::bfloat16>(a, tiles);
    case Form::int8:
      return launch<Form::int8>(a, tiles);
    case Form::fp8:
      return launch<Form::fp8>(a, tiles);
    case Form::int4:
      return launch<Form::int4>(a, tiles);
    case Form::mxfp4:
      return launch<Form::mxfp4>(a, tiles);
  }
}

}  // namespace preimage::nn
