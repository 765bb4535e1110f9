// grpo at the shape of Qwen3-4B with random bfloat16 weights (bench/grpo.sh runs it with its peer):
//
//   grpo_bench probe [SAMPLES TOKENS]       a probe step: gradients of all knobs of each sample,
//                                           measures, projection, update; prompts are 2/7 of TOKENS
//   grpo_bench factors [FOLDER]             singular vectors of all linear layers, kept in FOLDER
//   grpo_bench step PROMPTS GROUP PROMPT NEW TIMES   an on-policy step: rollout, update
//
// --small: two narrow layers; --device cpu|cuda (cuda). One JSON line for each figure, operations
// and their ideal time beside it: at the rate of an 8192^3 at::mm of the same run.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <string>

#include "config.hpp"
#include "lm/adapter/changes.hpp"
#include "lm/adapter/svd_factors.hpp"
#include "preimage/base/random.hpp"
#include "probe/chain.hpp"
#include "report/rows.hpp"
#include "sweep/rollout.hpp"
#include "sweep/update.hpp"

namespace preimage::grpo {
namespace {

struct Bench {
  at::Device device = at::kCUDA;
  bool small = false;
  lm::ModelConfig shape;
  double tera = 0;  // operations a second of the large product, in 1e12
};

using Clock = std::chrono::system_clock;

void synchronize(const Bench& bench) {
  at::zeros({1}, at::TensorOptions(at::kFloat).device(bench.device)).item<float>();
}

double now(const Bench& bench) {
  synchronize(bench);
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

lm::ModelConfig shape_of(bool small) {
  lm::ModelConfig c;
  c.family = "qwen3";
  c.hidden_size = small ? 64 : 2560, c.intermediate_size = small ? 96 : 9728;
  c.layers = small ? 2 : 36, c.query_heads = small ? 4 : 32, c.kv_heads = small ? 2 : 8;
  c.head_dim = small ? 16 : 128, c.vocab_size = small ? 512 : 151936;
  c.max_position_embeddings = 32768, c.rms_norm_eps = 1e-6, c.rope.theta = 1e6;
  c.qk_norm = c.tied_embeddings = true, c.stored_dtype = "bfloat16";
  return c;
}

double mm_tera(const Bench& bench) {
  const int64_t n = bench.small ? 256 : 8192;
  const auto options = at::TensorOptions(at::kBFloat16).device(bench.device);
  const auto a = at::randn({n, n}, options), b = at::randn({n, n}, options);
  std::vector<double> times;
  for (int i = 0; i < 10; ++i) {
    const double begin = now(bench);
    at::mm(a, b);
    times.push_back(now(bench) - begin);
  }
  return 2e-12 * static_cast<double>(n * n * n) / median(times);
}

std::shared_ptr<const lm::Model> random_model(const Bench& bench) {
  const auto options = at::TensorOptions(at::kBFloat16).device(bench.device);
  return lm::build_model(bench.shape, [&](const std::string& name, at::IntArrayRef shape) {
    if (name.find("norm") != std::string::npos) return at::ones(shape, options);
    return at::randn(shape, options).mul_(0.02);
  });
}

// Knobs with random factors in the place of singular vectors: the same products.
lm::LiveAdapter random_knobs(const Bench& bench) {
  lm::LiveAdapter out;
  out.options.kind = "svd";
  const auto options = at::TensorOptions(at::kBFloat16).device(bench.device);
  for (auto& module : lm::module_sizes(bench.shape)) {
    module.rank = std::min(module.out, module.in);
    const auto draw = [&](int64_t rows, int64_t columns) {
      return nn::Weight(at::randn({rows, columns}, options)
                            .div_(std::sqrt(static_cast<double>(std::max(rows, columns)))));
    };
    out.factors[module.name] = {draw(module.out, module.rank), draw(module.rank, module.in)};
    out.modules.push_back(module);
  }
  lm::lay_out(out, bench.device);
  return out;
}

std::vector<ModuleSpan> spans_of(const lm::LiveAdapter& adapter) {
  std::vector<ModuleSpan> spans;
  for (const auto& m : adapter.modules)
    spans.push_back({m.name, m.name.substr(m.name.rfind('.') + 1), m.first, m.count});
  return spans;
}

// Of contrasts without meaning.
Extraction random_extraction(const lm::LiveAdapter& adapter) {
  Extraction out;
  out.pair_gradients = Rows(6, adapter.knobs());
  const base::RandomStream random(1, "bench", "contrasts");
  auto& values = out.pair_gradients.values();
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
  out.directions = extract_directions(out.pair_gradients, spans_of(adapter), {});
  return out;
}

std::vector<int64_t> some_ids(const Bench& bench, int64_t count, int64_t salt) {
  const base::RandomStream random(static_cast<uint64_t>(salt), "bench", "ids");
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<int64_t>(
        random.below(static_cast<uint64_t>(bench.shape.vocab_size), static_cast<uint64_t>(i))));
  return ids;
}

// Elements of the linear layers, and of their factors.
struct Sizes {
  double weights = 0, factors = 0, head = 0;
};

Sizes sizes_of(const Bench& bench) {
  Sizes out;
  for (const auto& m : lm::module_sizes(bench.shape)) {
    out.weights += static_cast<double>(m.out * m.in);
    out.factors += static_cast<double>(std::min(m.out, m.in) * (m.out + m.in));
  }
  out.head = static_cast<double>(bench.shape.vocab_size * bench.shape.hidden_size);
  return out;
}

// Of causal attention to `length` tokens, forward: scores and their sum, half of the square.
double attention_tera(const Bench& bench, double length) {
  const auto& c = bench.shape;
  return 2e-12 * length * length * static_cast<double>(c.layers * c.query_heads * c.head_dim);
}

// Products of one sample's gradients, in 1e12 operations: the frozen weights forward and backward,
// the factors once each way to measure and, where the knobs are not zero, once more to move; head
// and attention (backward two and a half times forward).
double gradient_tera(const Bench& bench, double tokens, double predicted, bool moved) {
  const auto s = sizes_of(bench);
  return 1e-12 * (tokens * (4 * s.weights + (moved ? 4 : 2) * s.factors) + 4 * predicted * s.head) +
         3.5 * attention_tera(bench, tokens);
}

// The most that tensors took on the device since the last call; 0 on the CPU.
double peak_gib(const Bench& bench) {
  if (bench.device.is_cpu()) return 0;
  auto& allocator = *c10::getDeviceAllocator(bench.device.type());
  const auto stats = allocator.getDeviceStats(0);
  allocator.resetPeakStats(0);
  return static_cast<double>(stats.allocated_bytes[0].peak) / (1 << 30);
}

void probe(const Bench& bench, int64_t count, int64_t tokens) {
  const auto model = random_model(bench);
  const int64_t prompt = tokens * 2 / 7;
  std::vector<PoolSample> pool;
  constexpr int64_t steps = 6;
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t i = 0; i < count; ++i) {
      PoolSample sample;
      sample.pool = i < count / 2 ? "teacher_pool" : "base_pool";
      sample.step = step, sample.index = i;
      sample.prompt_ids = some_ids(bench, prompt, 2 * (step * count + i));
      sample.completion_ids = some_ids(bench, tokens - prompt, 2 * (step * count + i) + 1);
      sample.grade.reward = i < count / 2 ? 3.5 : 0.5 * static_cast<double>(i % 2);
      pool.push_back(std::move(sample));
    }
  }
  std::vector<ProbeGroup> groups(steps);
  for (size_t i = 0; i < pool.size(); ++i) {
    auto& group = groups[static_cast<size_t>(pool[i].step)];
    group.step = pool[i].step;
    group.samples.push_back({&pool[i], pool[i].pool == "base_pool", {}});
  }
  auto knobs = random_knobs(bench);
  const auto extraction = random_extraction(knobs);
  Basis basis(model, std::move(knobs), 8192);
  GrpoConfig config;
  config.nulls.kinds = {};
  for (const std::string pass : {"frozen", "trained"}) {
    ChainInput input{{"svd", pass, {"projected"}}, &config, &groups, &extraction, nullptr, 1, {}};
    const auto output = run_chain(basis, input);
    std::vector<double> seconds;
    for (const auto& cells : output->rows.at(table::steps)) {
      StepRow row;
      store::from_row(cells, row);
      seconds.push_back(row.seconds);
    }
    seconds.erase(seconds.begin(), seconds.begin() + 2);  // choices of kernels; knobs of zero
    const double operations =
        static_cast<double>(count) * gradient_tera(bench, static_cast<double>(tokens),
                                                   static_cast<double>(tokens - prompt),
                                                   pass == "trained");
    const double s = median(seconds);
    std::printf(
        "{\"bench\":\"probe\",\"pass\":\"%s\",\"samples\":%lld,\"tokens\":%lld,\"knobs\":%lld,"
        "\"seconds\":%.4f,\"fastest\":%.4f,\"tera_operations\":%.1f,\"ideal_s\":%.4f,\"of_mm\":%."
        "3f,"
        "\"peak_gib\":%.1f}\n",
        pass.c_str(), static_cast<long long>(count), static_cast<long long>(tokens),
        static_cast<long long>(basis.knobs()), s, std::ranges::min(seconds), operations,
        operations / bench.tera, operations / bench.tera / s, peak_gib(bench));
    std::fflush(stdout);
  }
}

void factors(const Bench& bench, const std::string& folder) {
  const auto model = random_model(bench);
  const auto modules = lm::module_sizes(bench.shape);
  const auto matrix = [&](size_t i) { return lm::module_matrix(*model, modules[i].name); };
  const auto measure = [&](const char* what, const std::string& cache, size_t count) {
    const double begin = now(bench);
    const auto made = lm::svd_factors(count, matrix, bench.device, cache);
    const double seconds = now(bench) - begin;
    // U' W Vh' is diagonal but for the rounding to bfloat16; of the first matrix.
    const auto u = made[0].u.dense(at::kFloat), vh = made[0].vh.dense(at::kFloat);
    auto inner = u.t().mm(matrix(0)).mm(vh.t());
    const double all = inner.norm().item<double>();
    inner.fill_diagonal_(0);
    std::printf(
        "{\"bench\":\"factors\",\"what\":\"%s\",\"modules\":%zu,\"seconds\":%.2f,"
        "\"off_diagonal\":%.2e}\n",
        what, count, seconds, inner.norm().item<double>() / all);
    std::fflush(stdout);
  };
  measure("first", "", 7);  // starts the solver
  measure("made", "", modules.size());
  if (folder.empty()) return;
  measure("made and kept", folder, modules.size());
  measure("read", folder, modules.size());
}

// Rewards at once, in turn 0, 0.5 and 3.5.
class InstantSource : public RewardSource {
 public:
  InstantSource(const Bench& bench, int64_t problems, int64_t prompt) {
    for (int64_t i = 0; i < problems; ++i) prompts_.push_back(some_ids(bench, prompt, i));
  }
  int64_t problems(bool) const override { return std::ssize(prompts_); }
  std::vector<int64_t> prompt(bool, int64_t problem, bool) const override {
    return prompts_[static_cast<size_t>(problem)];
  }
  void submit(int64_t ticket, bool, int64_t, const std::string&) override {
    Grade grade;
    grade.reward = ticket % 3 == 0 ? 0 : ticket % 3 == 1 ? 0.5 : 3.5;
    done_.emplace_back(ticket, grade);
  }
  std::optional<std::pair<int64_t, Grade>> next(double) override {
    if (done_.empty()) return std::nullopt;
    auto out = std::move(done_.front());
    done_.pop_front();
    return out;
  }

 private:
  std::vector<std::vector<int64_t>> prompts_;
  std::deque<std::pair<int64_t, Grade>> done_;
};

struct StepShape {
  int64_t prompts, group, prompt, fresh, times;
};

void on_policy(const Bench& bench, const StepShape& shape) {
  const auto model = random_model(bench);
  auto adapter = random_knobs(bench);
  const auto extraction = random_extraction(adapter);
  const SweepDirections directions{extraction.directions, extraction.directions};
  optim::AdamWState adam{at::zeros_like(adapter.parameters.flat),
                         at::zeros_like(adapter.parameters.flat), 0};
  const auto policy = lm::with_adapter(*model, adapter);
  lm::Generator generator(*policy, {.batch = shape.prompts * shape.group,
                                    .prefill_tokens = 8192,
                                    .longest = shape.prompt + shape.fresh});
  InstantSource source(bench, shape.prompts, shape.prompt);
  std::vector<RolloutTask> tasks;
  for (int64_t time = 0; time < shape.times; ++time) {
    tasks.clear();
    for (int64_t i = 0; i < shape.prompts; ++i)
      tasks.push_back({.problem = i, .key = static_cast<uint64_t>(time * shape.prompts + i)});
    const double begin = now(bench);
    generator.weights_changed();
    const auto groups = roll_out(generator, source, tasks,
                                 {.group = shape.group,
                                  .max_new_tokens = shape.fresh,
                                  .temperature = 0.7,
                                  .top_p = 0.95,
                                  .stop_ids = {bench.shape.vocab_size - 1},
                                  .stopping = {}});
    const double rolled = now(bench);
    const auto updated = update({*model, adapter, adam}, groups, directions,
                                {.arm = SweepArm::projected,
                                 .max_new_tokens = shape.fresh,
                                 .kl = 1e-3,
                                 .learning_rate = 1e-3,
                                 .adam = {},
                                 .projection = {},
                                 .batch_tokens = 4096});
    const double end = now(bench);
    const auto means = means_of(groups);
    double operations = 0, tokens = 0;
    for (const auto& group : groups) {
      for (const auto& sample : group.samples) {
        const auto fresh = static_cast<double>(sample.completion.size());
        const double all = fresh + static_cast<double>(shape.prompt);
        const auto s = sizes_of(bench);
        operations += gradient_tera(bench, all, fresh, time > 0) +
                      1e-12 * (all * 2 * s.weights + fresh * 4 * s.head) +  // reference, logp
                      attention_tera(bench, all);
        tokens += fresh;
      }
    }
    std::printf(
        "{\"bench\":\"step\",\"completions\":%lld,\"prompt\":%lld,\"mean_new\":%.0f,\"time\":%lld,"
        "\"begin\":%.2f,\"seconds\":%.2f,\"rollout_s\":%.2f,\"tokens_per_s\":%.0f,\"update_s\":%."
        "2f,"
        "\"update_tera_operations\":%.0f,\"update_ideal_s\":%.2f,\"update_of_mm\":%.3f,"
        "\"flat_groups\":%lld,\"kl\":%.3g,\"peak_gib\":%.1f}\n",
        static_cast<long long>(means.samples), static_cast<long long>(shape.prompt), means.tokens,
        static_cast<long long>(time), begin, end - begin, rolled - begin, tokens / (rolled - begin),
        end - rolled, operations, operations / bench.tera, operations / bench.tera / (end - rolled),
        static_cast<long long>(updated.flat_groups), updated.kl, peak_gib(bench));
    std::fflush(stdout);
  }
}

int run(int argc, char** argv) {
  Bench bench;
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--small") == 0) {
      bench.small = true;
    } else if (std::strcmp(argv[i], "--device") == 0 && i + 1 < argc) {
      bench.device = at::Device(argv[++i]);
    } else {
      words.emplace_back(argv[i]);
    }
  }
  const auto number = [&](size_t i, int64_t otherwise) {
    return i < words.size() ? std::stoll(words[i]) : otherwise;
  };
  if (words.empty()) {
    std::fputs("usage: grpo_bench probe|factors|step [...] (see the head of its source)\n", stderr);
    return 64;
  }
  bench.shape = shape_of(bench.small);
  bench.tera = mm_tera(bench);
  std::printf("{\"mm_tera\":%.1f}\n", bench.tera);
  if (words[0] == "probe") {
    probe(bench, number(1, 8), number(2, 700));
  } else if (words[0] == "factors") {
    const at::NoGradGuard no_grad;
    factors(bench, words.size() > 1 ? words[1] : "");
  } else {
    on_policy(bench, {number(1, 2), number(2, 6), number(3, 512), number(4, 1024), number(5, 3)});
  }
  return 0;
}

}  // namespace
}  // namespace preimage::grpo

int main(int argc, char** argv) {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  try {
    return preimage::grpo::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "grpo_bench: %s\n", error.what());
    return 70;
  }
}
