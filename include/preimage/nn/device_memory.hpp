// How much memory a device has left.
#pragma once

#include <c10/core/Device.h>

namespace preimage::nn {

// Bytes that new tensors can have: on CUDA what the driver has free and what the caching allocator
// keeps unused; on the CPU what the system calls available.
double free_bytes(c10::Device device);

}  // namespace preimage::nn
