// Sentences a second of an encoder with mean pooling, from ids in memory to vectors in memory:
// embed_bench FOLDER [sentences] [tokens] [float32|bfloat16] [cpu|cuda]. The ids are those of
// bench/peers/embed_peer.py. Prints one JSON line; the time is the median of three runs after one.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "preimage/lm/encoder/encoder.hpp"
#include "preimage/lm/encoder/sentence_pipeline.hpp"

namespace {

using preimage::lm::Encoder;

struct Setting {
  int64_t sentences = 10000, tokens = 32;
};

constexpr int64_t kBatchTokens = 16384;

at::Tensor ids_of(const Setting& setting, int64_t vocabulary) {
  const auto rows = at::arange(setting.sentences, at::kLong).unsqueeze(1) * 7919;
  const auto columns = at::arange(setting.tokens, at::kLong).unsqueeze(0) * 104729;
  auto ids = (rows + columns) % (vocabulary - 3) + 3;
  ids.select(1, setting.tokens - 1).fill_(1);  // </s>
  return ids;
}

double seconds_of_a_run(const Encoder& encoder, const at::Tensor& ids, at::Tensor& vectors) {
  const auto start = std::chrono::steady_clock::now();
  const int64_t tokens = ids.size(1), batch = std::max<int64_t>(1, kBatchTokens / tokens);
  for (int64_t first = 0; first < ids.size(0); first += batch) {
    const int64_t count = std::min(batch, ids.size(0) - first);
    const auto packing = preimage::nn::make_packing(
        std::vector<int64_t>(static_cast<size_t>(count), tokens), encoder.device());
    const auto some = ids.narrow(0, first, count).flatten().to(encoder.device());
    const auto hidden = encoder.hidden(encoder.embed(some), packing);
    vectors.narrow(0, first, count)
        .copy_(preimage::lm::pool(hidden, packing, preimage::lm::PoolingMode::mean));
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: embed_bench FOLDER [sentences] [tokens] [dtype] [device]\n", stderr);
    return 64;
  }
  const auto argument = [&](int i, const char* otherwise) {
    return std::string(i < argc ? argv[i] : otherwise);
  };
  const Setting setting{std::stoll(argument(2, "10000")), std::stoll(argument(3, "32"))};
  const auto dtype = argument(4, "float32") == "bfloat16" ? at::kBFloat16 : at::kFloat;
  const at::Device device(argument(5, "cpu"));
  const at::NoGradGuard no_grad;
  const auto encoder = preimage::lm::load_encoder(argv[1], {.dtype = dtype, .device = device});
  const auto ids = ids_of(setting, encoder->config().vocab_size);
  auto vectors = at::empty({setting.sentences, encoder->config().hidden_size}, at::kFloat);
  std::vector<double> seconds;
  for (int run = 0; run < 4; ++run) seconds.push_back(seconds_of_a_run(*encoder, ids, vectors));
  std::sort(seconds.begin() + 1, seconds.end());
  std::printf(
      "{\"who\":\"preimage\",\"sentences_per_s\":%.1f,\"seconds\":%.3f,\"threads\":%d,"
      "\"checksum\":%.6f}\n",
      static_cast<double>(setting.sentences) / seconds[2], seconds[2], at::get_num_threads(),
      vectors.abs().mean().item<double>());
}
