// FlashInfer's batch decode over a paged cache at the shapes of `gpu_check --rates`, no split along
// the keys: the peer of nn/decode_attention. Built by bench/flashinfer.sh from the headers of the
// PyPI wheel; part of nothing else.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

#include <flashinfer/attention/decode.cuh>
#include <flashinfer/attention/default_decode_params.cuh>
#include <flashinfer/attention/variants.cuh>

namespace {

using Number = __nv_bfloat16;
using Params = flashinfer::BatchDecodeParams<Number, Number, Number, int32_t>;
using Variant =
    flashinfer::DefaultAttention</*use_custom_mask=*/false, /*use_sliding_window=*/false,
                                 /*use_logits_soft_cap=*/false, /*use_alibi=*/false>;

constexpr uint32_t kPage = 16, kHeadDim = 128, kLayers = 4;

void require(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "flashinfer_decode: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

template <class T>
T* on_gpu(const std::vector<T>& values) {
  T* out = nullptr;
  require(cudaMalloc(&out, values.size() * sizeof(T)));
  require(cudaMemcpy(out, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return out;
}

Number* zeros(size_t count) {
  Number* out = nullptr;
  require(cudaMalloc(&out, count * sizeof(Number)));
  require(cudaMemset(out, 0, count * sizeof(Number)));
  return out;
}

std::vector<int32_t> counting(size_t count, int32_t step = 1) {
  std::vector<int32_t> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<int32_t>(i) * step;
  return out;
}

void measure(const char* name, uint32_t query_heads, uint32_t kv_heads, uint32_t batch,
             uint32_t length) {
  const uint32_t pages = (length + kPage) / kPage, tokens = length + 1;
  const size_t cache = size_t{batch} * pages * kPage * kv_heads * kHeadDim;
  auto* indices = on_gpu(counting(size_t{batch} * pages));
  auto* indptr = on_gpu(counting(batch + 1, static_cast<int32_t>(pages)));
  auto* last =
      on_gpu(std::vector<int32_t>(batch, static_cast<int32_t>(tokens - (pages - 1) * kPage)));
  auto* requests = on_gpu(counting(batch));
  auto* tiles = on_gpu(std::vector<int32_t>(batch, 0));
  auto* chunk = on_gpu(std::vector<int32_t>{1 << 30});
  auto* q = zeros(size_t{batch} * query_heads * kHeadDim);
  auto* out = zeros(size_t{batch} * query_heads * kHeadDim);
  std::vector<Params> layers;
  std::vector<Number*> caches;
  for (uint32_t layer = 0; layer < kLayers; ++layer) {
    caches.push_back(zeros(cache));
    caches.push_back(zeros(cache));
    flashinfer::paged_kv_t<Number, int32_t> kv(kv_heads, kPage, kHeadDim, batch,
                                               flashinfer::QKVLayout::kNHD, caches[2 * layer],
                                               caches[2 * layer + 1], indices, indptr, last);
    Params p(q, nullptr, kv, out, nullptr, nullptr, query_heads, query_heads * kHeadDim, kHeadDim,
             /*window_left=*/-1, 0.0f, 0.1f, 1.0f, 1e4f);
    p.padded_batch_size = batch;
    p.request_indices = requests, p.kv_tile_indices = tiles, p.kv_chunk_size_ptr = chunk;
    layers.push_back(p);
  }
  float best = 1e9f;
  for (int i = 0; i < 10; ++i) {
    cudaEvent_t begin, end;
    require(cudaEventCreate(&begin)), require(cudaEventCreate(&end));
    require(cudaEventRecord(begin));
    for (auto& p : layers) {
      require(flashinfer::BatchDecodeWithPagedKVCacheDispatched<
              kHeadDim, flashinfer::PosEncodingMode::kNone, Variant>(p, nullptr, nullptr, false,
                                                                     nullptr));
    }
    require(cudaEventRecord(end)), require(cudaEventSynchronize(end));
    float ms = 0;
    require(cudaEventElapsedTime(&ms, begin, end));
    best = std::min(best, ms / kLayers);
  }
  const double bytes = 4.0 * batch * length * kv_heads * kHeadDim;
  std::printf("FlashInfer decode %-26s %8.3f ms %8.0f GB/s\n", name, best, bytes / best * 1e-6);
  for (void* p : std::vector<void*>{indices, indptr, last, requests, tiles, chunk, q, out})
    require(cudaFree(p));
  for (auto* p : caches) require(cudaFree(p));
}

}  // namespace

int main() {
  // Its decode kernel has no group of seven heads: eight read the same keys.
  measure("7B with 32 heads, 512 x 320", 32, 4, 512, 320);
  measure("1.3B, 1024 x 320", 16, 16, 1024, 320);
  measure("4B, 64 x 500", 32, 8, 64, 500);
  measure("4B, 64 x 700", 32, 8, 64, 700);
}
