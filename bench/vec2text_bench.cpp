// Beam search with an inversion model of vec2text's published shape on random weights:
// vec2text_bench FOLDER [embeddings] [new tokens] [float32|bfloat16] [cpu|cuda] [rows]. FOLDER is
// that of bench/peers/vec2text_peer.py. Eight beams, fixed length. Prints one JSON line; the time
// is the smaller of two runs after one.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "preimage/lm/checkpoint/safetensors.hpp"
#include "preimage/lm/generate/beam_search.hpp"
#include "preimage/lm/t5/vec2text.hpp"

namespace {

using namespace preimage;

struct Setting {
  int64_t fresh = 32, rows = 1024;
};

double seconds_of_a_run(const lm::Vec2Text& model, const at::Tensor& targets,
                        const Setting& setting, double& total) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<lm::BeamRequest> requests;
  for (int64_t i = 0; i < targets.size(0); ++i) {
    requests.push_back({.prompt = {{}, model.inversion_inputs(targets[i])},
                        .max_new_tokens = setting.fresh,
                        .beams = 8});
  }
  const auto batch = lm::make_sequence_batch(model.t5());
  total = 0;
  for (const auto& found : lm::beam_search(*batch, requests, {.rows = setting.rows})) {
    for (const int64_t id : found[0].ids) total += static_cast<double>(id);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: vec2text_bench FOLDER [embeddings] [new tokens] [dtype] [device] [rows]\n",
               stderr);
    return 64;
  }
  const auto argument = [&](int i, const char* otherwise) {
    return std::string(i < argc ? argv[i] : otherwise);
  };
  const int64_t count = std::stoll(argument(2, "128"));
  const Setting setting{std::stoll(argument(3, "32")), std::stoll(argument(6, "1024"))};
  const auto dtype = argument(4, "float32") == "bfloat16" ? at::kBFloat16 : at::kFloat;
  const at::NoGradGuard no_grad;
  const auto model =
      lm::load_vec2text(argv[1], {.dtype = dtype, .device = at::Device(argument(5, "cpu"))});
  const lm::SafetensorsFile file(std::string(argv[1]) + "/targets.safetensors");
  const auto targets = file.read(*file.find("targets")).narrow(0, 0, count);
  double total = 0, best = 1e30;
  for (int run = 0; run < 3; ++run) {
    const double seconds = seconds_of_a_run(*model, targets, setting, total);
    if (run > 0) best = std::min(best, seconds);
  }
  std::printf(
      "{\"who\":\"preimage\",\"embeddings_per_s\":%.2f,\"seconds\":%.3f,\"threads\":%d,"
      "\"sum_of_ids\":%.0f}\n",
      static_cast<double>(count) / best, best, at::get_num_threads(), total);
}
