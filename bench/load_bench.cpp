// Loading a decoder's checkpoint: load_bench FOLDER [float32|bfloat16] [cpu|cuda]. Prints one JSON
// line: seconds from the folder to the weights on the device, and bytes of the files over them.
#include <chrono>
#include <cstdio>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "preimage/lm/checkpoint/checkpoint.hpp"
#include "preimage/lm/model.hpp"

int main(int argc, char** argv) {
  using namespace preimage;
  if (argc < 2) {
    std::fputs("usage: load_bench FOLDER [float32|bfloat16] [cpu|cuda]\n", stderr);
    return 64;
  }
  const auto dtype = argc > 2 && std::string(argv[2]) == "float32" ? at::kFloat : at::kBFloat16;
  const at::Device device(argc > 3 ? argv[3] : "cuda");
  try {
    const auto wait = [&] { at::zeros({1}, at::device(device)).item<float>(); };
    wait();  // the device's context is not what is measured
    double bytes = 0;
    const lm::Checkpoint checkpoint(argv[1]);
    for (const auto& file : checkpoint.files()) bytes += static_cast<double>(file.size());
    for (int run = 0; run < 2; ++run) {
      const auto start = std::chrono::steady_clock::now();
      const auto model = lm::load_model(argv[1], {.dtype = dtype, .device = device});
      wait();
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      std::printf(
          "{\"who\":\"preimage\",\"run\":%d,\"gb\":%.3f,\"seconds\":%.3f,\"gb_per_s\":%.3f,"
          "\"threads\":%d}\n",
          run, bytes * 1e-9, seconds, bytes * 1e-9 / seconds, at::get_num_threads());
      std::fflush(stdout);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "load_bench: %s\n", error.what());
    return 1;
  }
}
