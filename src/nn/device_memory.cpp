#include "preimage/nn/device_memory.hpp"

#include <fstream>
#include <string>

#ifdef PREIMAGE_CUDA
#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#endif

namespace preimage::nn {
namespace {

double available_system_memory() {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  double kibibytes = 0;
  while (file >> name >> kibibytes) {
    if (name == "MemAvailable:") return kibibytes * 1024;
    std::getline(file, unit);
  }
  return 1e18;  // not told: the allocator says when it is enough
}

}  // namespace

double free_bytes(c10::Device device) {
#ifdef PREIMAGE_CUDA
  if (device.is_cuda()) {
    at::globalContext().lazyInitDevice(
        c10::DeviceType::CUDA);  // else the allocator knows no device
    const c10::cuda::CUDAGuard guard(device);
    size_t free = 0, total = 0;
    C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    const auto stats =
        c10::cuda::CUDACachingAllocator::getDeviceStats(guard.current_device().index());
    const auto kept = stats.reserved_bytes[0].current - stats.allocated_bytes[0].current;
    return static_cast<double>(free) + static_cast<double>(kept);
  }
#endif
  static_cast<void>(device);
  return available_system_memory();
}

}  // namespace preimage::nn
