// Generation at the shapes of published models with random bfloat16 weights on one GPU, greedy and
// deterministic, beside the ideal time of the same work at ceilings measured in the same run; and,
// with --check, whether completions have the same bits in every company.
//
//   generate_gpu_bench [--check] [SHAPE...]     shapes: qwen2.5-7b deepseek-coder-1.3b qwen3-4b
//
// Each shape is measured twice, the second time under --fast: what determinism costs.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "preimage/base/random.hpp"
#include "preimage/lm/generate/generator.hpp"

namespace preimage::bench {
namespace {

using lm::GenerateOptions;
using lm::GenerateRequest;

struct Work {
  const char* name;
  lm::ModelConfig model;
  int64_t sequences, prompt, fresh;
};

lm::ModelConfig config(int64_t hidden, int64_t inner, int64_t layers, int64_t heads, int64_t kv,
                       int64_t vocabulary) {
  lm::ModelConfig c;
  c.family = "qwen2";
  c.hidden_size = hidden, c.intermediate_size = inner, c.layers = layers;
  c.query_heads = heads, c.kv_heads = kv, c.head_dim = 128;
  c.vocab_size = vocabulary, c.max_position_embeddings = 16384;
  c.rms_norm_eps = 1e-6, c.stored_dtype = "bfloat16";
  return c;
}

std::vector<Work> works() {
  std::vector<Work> all = {
      {"qwen2.5-7b", config(3584, 18944, 28, 28, 4, 152064), 512, 256, 128},
      {"deepseek-coder-1.3b", config(2048, 5504, 24, 16, 16, 32256), 1024, 256, 128},
      {"qwen3-4b", config(2560, 9728, 36, 32, 8, 151936), 64, 256, 512},
  };
  all[0].model.qkv_bias = true;
  all[2].model.family = "qwen3";
  all[2].model.tied_embeddings = true, all[2].model.qk_norm = true;
  return all;
}

at::TensorOptions on_gpu(at::ScalarType dtype) {
  return at::TensorOptions().device(at::kCUDA).dtype(dtype);
}

std::shared_ptr<const lm::Model> random_model(const lm::ModelConfig& c) {
  return lm::build_model(c, [](const std::string& name, at::IntArrayRef shape) {
    if (name.find("norm") != std::string::npos) return at::ones(shape, on_gpu(at::kBFloat16));
    return at::randn(shape, on_gpu(at::kBFloat16)).mul_(0.02);
  });
}

void synchronize() {
  at::zeros({1}, on_gpu(at::kFloat)).item<float>();
}

double seconds_of(const std::function<void()>& work) {
  synchronize();
  const auto begin = std::chrono::steady_clock::now();
  work();
  synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Ceilings {
  double flops, bytes;  // per second
};

Ceilings measure_ceilings() {
  const auto a = at::randn({8192, 8192}, on_gpu(at::kBFloat16)), b = a.t().contiguous();
  const auto from = at::ones({int64_t{1} << 30}, on_gpu(at::kInt)), to = at::empty_like(from);
  Ceilings best{0, 0};
  for (int i = 0; i < 4; ++i) {
    const double product = seconds_of([&] {
      for (int j = 0; j < 10; ++j) at::mm(a, b);
    });
    const double copy = seconds_of([&] { to.copy_(from); });
    best.flops = std::max(best.flops, 10 * 2 * std::pow(8192.0, 3) / product);
    best.bytes = std::max(best.bytes, 2 * 4.0 * static_cast<double>(from.numel()) / copy);
  }
  return best;
}

struct Ideal {
  double prefill = 0, decode = 0;  // seconds
};

// Products and attention of the prompts at the ceiling of products; then each step at the larger of
// its operations and its bytes (weights once, keys and values once).
Ideal ideal_time(const Work& w, const Ceilings& top) {
  const auto& c = w.model;
  const auto n = [](int64_t x) { return static_cast<double>(x); };
  const double q = n(c.query_heads * c.head_dim), kv = n(c.kv_heads * c.head_dim);
  const double d = n(c.hidden_size), inner = n(c.intermediate_size);
  const double body = n(c.layers) * (d * (q + 2 * kv) + q * d + 3 * d * inner);
  const double head = d * n(c.vocab_size), batch = n(w.sequences);
  const double pairs = n(w.prompt) * n(w.prompt + 1) / 2;  // query and key, of one prompt
  const double attention = 4 * q * n(c.layers);            // operations of a pair
  Ideal ideal;
  ideal.prefill = batch * (2 * body * n(w.prompt) + attention * pairs + 2 * head) / top.flops;
  for (int64_t step = 1; step < w.fresh; ++step) {
    const double seen = batch * n(w.prompt + step);
    const double operations = 2 * batch * (body + head) + attention * seen;
    const double bytes = 2 * (body + head) + seen * 2 * 2 * kv * n(c.layers);
    ideal.decode += std::max(operations / top.flops, bytes / top.bytes);
  }
  return ideal;
}

std::vector<GenerateRequest> fixed_requests(const Work& w, int64_t fresh) {
  const base::RandomStream random(3, w.name, "prompts");
  std::vector<GenerateRequest> requests(static_cast<size_t>(w.sequences));
  uint64_t at = 0;
  for (auto& r : requests) {
    for (int64_t t = 0; t < w.prompt; ++t)
      r.ids.push_back(
          static_cast<int64_t>(random.below(static_cast<uint64_t>(w.model.vocab_size), at++)));
    r.max_new_tokens = fresh;
  }
  return requests;
}

void measure(const Work& w, const lm::Model& model, const Ceilings& top, bool fast) {
  const GenerateOptions options{.batch = w.sequences, .prefill_tokens = 8192, .fast = fast};
  const auto all = fixed_requests(w, w.fresh), prompts = fixed_requests(w, 1);
  const auto run = [&](const std::vector<GenerateRequest>& requests) {
    return seconds_of([&] { lm::generate(model, requests, options); });
  };
  run(fixed_requests(w, 4));  // settles the choice of every product
  const double prefill = run(prompts), whole = std::min(run(all), run(all));
  const auto ideal = ideal_time(w, top);
  const double tokens = static_cast<double>(w.sequences * w.fresh);
  std::printf(
      "{\"shape\":\"%s\",\"fast\":%s,\"sequences\":%lld,\"prompt\":%lld,\"new\":%lld,"
      "\"seconds\":%.3f,\"tokens_per_s\":%.0f,\"ideal_s\":%.3f,\"ideal_tokens_per_s\":%.0f,"
      "\"fraction\":%.3f,\"prefill_s\":%.3f,\"ideal_prefill_s\":%.3f,\"decode_step_ms\":%.3f,"
      "\"ideal_step_ms\":%.3f}\n",
      w.name, fast ? "true" : "false", static_cast<long long>(w.sequences),
      static_cast<long long>(w.prompt), static_cast<long long>(w.fresh), whole, tokens / whole,
      ideal.prefill + ideal.decode, tokens / (ideal.prefill + ideal.decode),
      (ideal.prefill + ideal.decode) / whole, prefill, ideal.prefill,
      (whole - prefill) * 1e3 / static_cast<double>(w.fresh - 1),
      ideal.decode * 1e3 / static_cast<double>(w.fresh - 1));
  std::fflush(stdout);
}

// ---- determinism --------------------------------------------------------------------------------

std::vector<GenerateRequest> mixed_requests(const lm::ModelConfig& c, int64_t count) {
  const base::RandomStream random(11, "requests", "check");
  std::vector<GenerateRequest> requests;
  for (int64_t i = 0; i < count; ++i) {
    GenerateRequest r{.max_new_tokens = 8 + i * 7 % 160};
    uint64_t at = static_cast<uint64_t>(i) * 10000;
    if (i % 3 == 0) {
      for (int64_t t = 0; t < 150; ++t) r.ids.push_back(t * 5 % 30000);
    }
    const int64_t length = i % 97 == 5 ? 1200 : 1 + static_cast<int64_t>(random.below(300, at++));
    for (int64_t t = 0; t < length; ++t)
      r.ids.push_back(
          static_cast<int64_t>(random.below(static_cast<uint64_t>(c.vocab_size), at++)));
    if (i % 5 == 1) r.sampling = {.temperature = 1.2, .top_k = 40, .top_p = 0.9};
    if (i % 5 == 2) r.sampling = {.temperature = 0.9, .min_p = 0.02, .seed = 5};
    if (i % 25 == 3) r.sampling = {.repetition_penalty = 1.3, .no_repeat_ngram = 2};
    requests.push_back(std::move(r));
  }
  return requests;
}

int64_t differences(const lm::Completion& a, const lm::Completion& b) {
  if (a.ids.size() != b.ids.size()) return static_cast<int64_t>(a.ids.size() + b.ids.size());
  int64_t different = 0;
  for (size_t i = 0; i < a.ids.size(); ++i)
    different += a.ids[i] != b.ids[i] ||
                 std::bit_cast<int32_t>(a.logprobs[i]) != std::bit_cast<int32_t>(b.logprobs[i]);
  return different;
}

int check(const Work& w) {
  const auto model = random_model(w.model);
  const auto requests = mixed_requests(w.model, 1000);
  const auto truth = lm::generate(*model, requests, {.batch = 1000, .prefill_tokens = 8192});
  struct Variant {
    const char* name;
    size_t step, count;  // requests 0, step, 2 step, ... modulo all
    lm::GeneratorOptions options;
  };
  const std::vector<Variant> variants = {
      {"alone", 41, 24, {.batch = 1}},
      {"two at once", 37, 60, {.batch = 2}},
      {"64, another order", 77, 1000, {.batch = 64}},
      {"300, nothing shared", 7, 1000, {.batch = 300, .share_prefixes = false}},
      {"chunks of 48 tokens", 3, 300, {.batch = 100, .prefill_tokens = 48}},
      {"few pages", 9, 1000, {.batch = 300, .cache_pages = 160}},
  };
  int64_t all = 0, longest = 0;
  for (const auto& r : requests) longest = std::max(longest, std::ssize(r.ids) + r.max_new_tokens);
  for (const auto& v : variants) {
    std::vector<GenerateRequest> some;
    for (size_t i = 0; i < v.count; ++i) some.push_back(requests[i * v.step % requests.size()]);
    auto options = v.options;
    options.longest = longest;
    lm::Generator generator(*model, options);
    for (const auto& request : some) generator.submit(request);
    std::vector<lm::Completion> completions(some.size());
    while (auto completion = generator.next())
      completions[static_cast<size_t>(completion->request - 1)] = std::move(*completion);
    int64_t different = 0, tokens = 0;
    for (size_t i = 0; i < v.count; ++i) {
      different += differences(completions[i], truth[i * v.step % requests.size()]);
      tokens += static_cast<int64_t>(completions[i].ids.size());
    }
    all += different;
    std::printf(
        "{\"check\":\"%s\",\"shape\":\"%s\",\"completions\":%zu,\"tokens\":%lld,\"different\":%lld,"
        "\"preemptions\":%lld,\"shared_tokens\":%lld}\n",
        v.name, w.name, v.count, static_cast<long long>(tokens), static_cast<long long>(different),
        static_cast<long long>(generator.counts().preemptions),
        static_cast<long long>(generator.counts().shared));
    std::fflush(stdout);
  }
  return all == 0 ? 0 : 1;
}

int run(int argc, char** argv) {
  const at::NoGradGuard no_grad;
  bool checks = false;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--check") == 0) {
      checks = true;
    } else {
      names.emplace_back(argv[i]);
    }
  }
  const auto wanted = [&](const Work& w) {
    return names.empty() || std::find(names.begin(), names.end(), w.name) != names.end();
  };
  int code = 0;
  Ceilings top{};
  if (!checks) {
    top = measure_ceilings();
    std::printf("{\"mm_tflops\":%.0f,\"copy_gb_per_s\":%.0f}\n", top.flops * 1e-12,
                top.bytes * 1e-9);
  }
  for (const auto& w : works()) {
    if (!wanted(w)) continue;
    if (checks) {
      code |= check(w);
    } else {
      const auto model = random_model(w.model);
      measure(w, *model, top, /*fast=*/false);
      measure(w, *model, top, /*fast=*/true);
    }
  }
  return code;
}

}  // namespace
}  // namespace preimage::bench

int main(int argc, char** argv) {
  try {
    return preimage::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "generate_gpu_bench: %s\n", error.what());
    return 1;
  }
}
