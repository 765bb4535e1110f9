// Generation at the shapes of published models with random bfloat16 weights on one GPU, greedy and
// deterministic, beside the ideal time of the same work at ceilings measured in the same run; and,
// with --check, whether completions have the same bits in every company.
//
//   generate_gpu_bench [--check [--requests N]] [--weights bf16|int8|fp8|fp8_w8a8] [--no-fast]
//   [--cap GIB]
//                      [SHAPE...]
//   shapes: qwen2.5-7b deepseek-coder-1.3b qwen3-4b gpt-oss-20b gpt-oss-20b-5k (experts in MXFP4);
//   qwen2.5-7b-uneven (each sequence another length of 16 to 256), qwen3-4b-sampled (temperature
//   0.7, top-p 0.95)
//
// Each shape is measured twice, the second time under --fast: what determinism costs. --weights:
// the matrices of the layers in fewer bits. --requests: how many are compared (1,000). --cap: the
// allocator gives no more than this; what needs more ends with an error.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/cuda/CUDACachingAllocator.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "lm/checkpoint/weight_source.hpp"
#include "lm/decoder.hpp"
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
  int64_t prefill_tokens = 8192;
  int64_t least = 0;  // new tokens are drawn from [least, fresh]; 0: all have `fresh`
  double temperature = 0, top_p = 1;
};

// New tokens of each sequence.
std::vector<int64_t> lengths(const Work& w) {
  std::vector<int64_t> all(static_cast<size_t>(w.sequences), w.fresh);
  if (w.least == 0) return all;
  const base::RandomStream random(4, w.name, "lengths");
  uint64_t at = 0;
  for (auto& length : all)
    length = w.least +
             static_cast<int64_t>(random.below(static_cast<uint64_t>(w.fresh - w.least + 1), at++));
  return all;
}

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

lm::ModelConfig gpt_oss() {
  auto c = config(2880, 2880, 24, 64, 8, 201088);
  c.family = "gpt_oss", c.head_dim = 64, c.rms_norm_eps = 1e-5;
  c.qkv_bias = c.output_bias = c.mlp_bias = c.wide_norm_weight = c.sinks = true;
  for (int64_t i = 0; i < c.layers; ++i) c.windows.push_back(i % 2 == 0 ? 128 : 0);
  c.experts = lm::ExpertsConfig{.experts = 32, .experts_per_token = 4, .intermediate_size = 2880};
  return c;
}

std::vector<Work> works() {
  std::vector<Work> all = {
      {"qwen2.5-7b", config(3584, 18944, 28, 28, 4, 152064), 512, 256, 128},
      {"deepseek-coder-1.3b", config(2048, 5504, 24, 16, 16, 32256), 1024, 256, 128},
      {"qwen3-4b", config(2560, 9728, 36, 32, 8, 151936), 64, 256, 512},
      {"gpt-oss-20b", gpt_oss(), 200, 40, 300},
      {"gpt-oss-20b", gpt_oss(), 64, 256, 512},
      {"gpt-oss-20b-5k", gpt_oss(), 8, 5000, 64, 256},
  };
  all[0].model.qkv_bias = true;
  all[2].model.family = "qwen3";
  all[2].model.tied_embeddings = true, all[2].model.qk_norm = true;
  const auto seven = all[0].model, four = all[2].model;
  all.insert(all.begin() + 1, {"qwen2.5-7b", seven, 512, 256, 512});
  all.push_back({"qwen2.5-7b-uneven", seven, 512, 256, 256, 8192, 16});
  all.push_back({"qwen3-4b-sampled", four, 258, 512, 512, 8192, 0, 0.7, 0.95});
  return all;
}

at::TensorOptions on_gpu(at::ScalarType dtype) {
  return at::TensorOptions().device(at::kCUDA).dtype(dtype);
}

enum class Weights { bf16, int8, fp8, fp8_w8a8 };
constexpr std::array<const char*, 4> kWeightNames = {"bf16", "int8", "fp8", "fp8_w8a8"};

Weights parse_weights(const std::string& word) {
  const auto* const at = std::find(kWeightNames.begin(), kWeightNames.end(), word);
  if (at == kWeightNames.end()) throw std::runtime_error("no weights " + word);
  return static_cast<Weights>(at - kWeightNames.begin());
}

// Normal numbers, matrices perhaps in fewer bits, experts in MXFP4 as gpt-oss stores them.
class RandomWeights : public lm::WeightSource {
 public:
  explicit RandomWeights(Weights weights) : weights_(weights) {}
  at::Tensor tensor(const std::string& name, at::IntArrayRef shape) const override {
    if (name.find("norm") != std::string::npos) return at::ones(shape, on_gpu(at::kBFloat16));
    return at::randn(shape, on_gpu(at::kBFloat16)).mul_(0.02);
  }
  at::Tensor wide_tensor(const std::string& name, at::IntArrayRef shape) const override {
    return tensor(name, shape).to(at::kFloat);
  }
  nn::Weight matrix(const std::string& name, int64_t out, int64_t in) const override {
    const auto dense = tensor(name, {out, in});
    if (weights_ == Weights::bf16) return nn::Weight(dense);
    auto narrow =
        nn::quantize_rows(dense, weights_ == Weights::int8 ? nn::NarrowMatrix::Codes::int8
                                                           : nn::NarrowMatrix::Codes::fp8);
    narrow.rounds_input = weights_ == Weights::fp8_w8a8;
    return nn::Weight(std::move(narrow));
  }
  std::vector<nn::Weight> expert_matrices(const std::string&, at::IntArrayRef shape,
                                          const at::Tensor&) const override {
    std::vector<nn::Weight> out;
    const int64_t in = shape[1], rows = shape[2];
    const auto codes = at::randint(256, {shape[0], rows, in / 2}, on_gpu(at::kByte));
    const auto scales = at::randint(119, 122, {shape[0], rows, in / 32}, on_gpu(at::kByte));
    for (int64_t e = 0; e < shape[0]; ++e) {
      nn::NarrowMatrix m{.format = nn::NarrowMatrix::Codes::mxfp4};
      m.rows = rows, m.columns = in, m.block_columns = 32;
      m.codes = codes[e], m.scales = scales[e];
      out.emplace_back(std::move(m));
    }
    return out;
  }

 private:
  Weights weights_;
};

std::shared_ptr<const lm::Model> random_model(const lm::ModelConfig& c, Weights weights) {
  return std::make_shared<lm::Decoder>(c, RandomWeights(weights));
}

void cap_memory(double gib) {
  const auto all = c10::cuda::CUDACachingAllocator::get()->getMemoryInfo(0).second;
  c10::cuda::CUDACachingAllocator::setMemoryFraction(
      gib * static_cast<double>(1 << 30) / static_cast<double>(all), 0);
}

// The most that tensors took since the last call.
double peak_gib() {
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(0);
  c10::cuda::CUDACachingAllocator::resetPeakStats(0);
  return static_cast<double>(stats.allocated_bytes[0].peak) / (1 << 30);
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
Ideal ideal_time(const Work& w, Weights weights, const Ceilings& top) {
  const auto& c = w.model;
  const auto n = [](int64_t x) { return static_cast<double>(x); };
  const double q = n(c.query_heads * c.head_dim), kv = n(c.kv_heads * c.head_dim);
  const double d = n(c.hidden_size), inner = n(c.intermediate_size);
  const double of_weight = weights == Weights::bf16 ? 2 : 1;  // bytes of a number
  const double body = n(c.layers) * (d * (q + 2 * kv) + q * d + (c.experts ? 0 : 3 * d * inner));
  const double head = d * n(c.vocab_size), batch = n(w.sequences);
  const double expert = c.experts ? n(c.layers) * 3 * d * inner : 0;  // one in every layer
  const double chosen = c.experts ? n(c.experts->experts_per_token) : 0;
  const double all = c.experts ? n(c.experts->experts) : 1;
  const double pairs = n(w.prompt) * n(w.prompt + 1) / 2;  // query and key, of one prompt
  const double attention = 4 * q * n(c.layers);            // operations of a pair
  // Eight-bit products go at twice the rate.
  const double flops = weights == Weights::fp8_w8a8 ? 2 * top.flops : top.flops;
  Ideal ideal;
  ideal.prefill = batch * ((2 * (body + chosen * expert) * n(w.prompt) + 2 * head) / flops +
                           attention * pairs / top.flops);
  const auto fresh = lengths(w);
  for (int64_t step = 1; step < w.fresh; ++step) {
    const double live =
        n(std::count_if(fresh.begin(), fresh.end(), [&](int64_t l) { return l > step; }));
    // Experts that at least one of the batch chose, were every choice as likely as any other.
    const double met = all * (1 - std::pow(1 - chosen / all, live));
    const double seen = live * n(w.prompt + step);
    const double products =
        2 * live * (body + chosen * expert + head) / flops + attention * seen / top.flops;
    const double bytes =
        of_weight * body + 2 * head + met * expert * 4.25 / 8 + seen * 2 * 2 * kv * n(c.layers);
    ideal.decode += std::max(products, bytes / top.bytes);
  }
  return ideal;
}

// Of at most `most` new tokens.
std::vector<GenerateRequest> requests_of(const Work& w, int64_t most) {
  const base::RandomStream random(3, w.name, "prompts");
  std::vector<GenerateRequest> requests(static_cast<size_t>(w.sequences));
  const auto fresh = lengths(w);
  uint64_t at = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    auto& r = requests[i];
    for (int64_t t = 0; t < w.prompt; ++t)
      r.ids.push_back(
          static_cast<int64_t>(random.below(static_cast<uint64_t>(w.model.vocab_size), at++)));
    r.max_new_tokens = std::min(most, fresh[i]);
    r.sampling = {.temperature = w.temperature, .top_p = w.top_p, .seed = i};
  }
  return requests;
}

struct Way {
  Weights weights;
  bool fast;
};

void measure(const Work& w, const lm::Model& model, const Ceilings& top, const Way& way) {
  const bool fast = way.fast;
  const GenerateOptions options{
      .batch = w.sequences, .prefill_tokens = w.prefill_tokens, .fast = fast};
  const auto all = requests_of(w, w.fresh), prompts = requests_of(w, 1);
  const auto run = [&](const std::vector<GenerateRequest>& requests) {
    return seconds_of([&] { lm::generate(model, requests, options); });
  };
  run(requests_of(w, 4));  // settles the choice of every product
  const double prefill = run(prompts), whole = std::min(run(all), run(all));
  const auto ideal = ideal_time(w, way.weights, top);
  double tokens = 0;
  for (const auto& r : all) tokens += static_cast<double>(r.max_new_tokens);
  std::printf(
      "{\"shape\":\"%s\",\"fast\":%s,\"sequences\":%lld,\"prompt\":%lld,\"new\":%lld,"
      "\"seconds\":%.3f,\"tokens_per_s\":%.0f,\"ideal_s\":%.3f,\"ideal_tokens_per_s\":%.0f,"
      "\"fraction\":%.3f,\"prefill_s\":%.3f,\"ideal_prefill_s\":%.3f,\"decode_step_ms\":%.3f,"
      "\"ideal_step_ms\":%.3f,\"weights\":\"%s\",\"gib\":%.2f}\n",
      w.name, fast ? "true" : "false", static_cast<long long>(w.sequences),
      static_cast<long long>(w.prompt), static_cast<long long>(w.fresh), whole, tokens / whole,
      ideal.prefill + ideal.decode, tokens / (ideal.prefill + ideal.decode),
      (ideal.prefill + ideal.decode) / whole, prefill, ideal.prefill,
      (whole - prefill) * 1e3 / static_cast<double>(w.fresh - 1),
      ideal.decode * 1e3 / static_cast<double>(w.fresh - 1),
      kWeightNames[static_cast<size_t>(way.weights)], peak_gib());
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

int check(const Work& w, Weights weights, int64_t count) {
  const auto model = random_model(w.model, weights);
  const auto requests = mixed_requests(w.model, count);
  const auto all_of = static_cast<size_t>(count);
  const auto truth = lm::generate(*model, requests, {.batch = 1000, .prefill_tokens = 8192});
  struct Variant {
    const char* name;
    size_t step, count;  // requests 0, step, 2 step, ... modulo all
    lm::GeneratorOptions options;
  };
  const std::vector<Variant> variants = {
      {"alone", 41, 24, {.batch = 1}},
      {"two at once", 37, 60, {.batch = 2}},
      {"64, another order", 77, all_of, {.batch = 64}},
      {"300, nothing shared", 7, all_of, {.batch = 300, .share_prefixes = false}},
      {"chunks of 48 tokens",
       3,
       std::min<size_t>(300, all_of),
       {.batch = 100, .prefill_tokens = 48}},
      {"few pages", 9, all_of, {.batch = 300, .cache_pages = 160}},
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
  bool checks = false, fast = true;
  int64_t requests = 1000;
  double cap = 0;
  auto weights = Weights::bf16;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--check") == 0) {
      checks = true;
    } else if (std::strcmp(argv[i], "--requests") == 0 && i + 1 < argc) {
      requests = std::max<int64_t>(100, std::strtoll(argv[++i], nullptr, 10));
    } else if (std::strcmp(argv[i], "--cap") == 0 && i + 1 < argc) {
      cap = std::strtod(argv[++i], nullptr);
    } else if (std::strcmp(argv[i], "--no-fast") == 0) {
      fast = false;
    } else if (std::strcmp(argv[i], "--weights") == 0 && i + 1 < argc) {
      weights = parse_weights(argv[++i]);
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
  if (cap > 0) cap_memory(cap);
  std::string checked;
  std::shared_ptr<const lm::Model> model;
  std::string of;
  for (const auto& w : works()) {
    if (!wanted(w)) continue;
    if (checks) {
      if (checked != w.name) code |= check(w, weights, requests);
      checked = w.name;
      continue;
    }
    if (of != w.name) {
      model.reset();
      c10::cuda::CUDACachingAllocator::emptyCache();
      model = random_model(w.model, weights);
      of = w.name;
      c10::cuda::CUDACachingAllocator::emptyCache();
      peak_gib();
    }
    measure(w, *model, top, {weights, false});
    if (fast) measure(w, *model, top, {weights, true});
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
