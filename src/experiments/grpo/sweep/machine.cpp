#include "sweep/machine.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/adapter/sample_gradients.hpp"
#include "preimage/lm/shared_model.hpp"
#include "preimage/nn/device_memory.hpp"
#include "preimage/nn/paged_attention.hpp"
#include "sweep/graded_source.hpp"

namespace preimage::grpo {
namespace {

lm::WeightedSample sample_of(const Sequence& sequence) {
  auto ids = sequence.prompt;
  ids.insert(ids.end(), sequence.completion.begin(), sequence.completion.end());
  return lm::mean_sample(std::move(ids), std::ssize(sequence.prompt));
}

// D, one row for each pair.
Rows contrasts(const lm::Model& base, const lm::LiveAdapter& adapter,
               const std::vector<EncodedPair>& pairs) {
  Rows out(std::ssize(pairs), adapter.knobs());
  for (size_t p = 0; p < pairs.size(); ++p) {
    const auto both =
        lm::sample_gradients(base, adapter, {sample_of(pairs[p].hack), sample_of(pairs[p].clean)});
    const auto d = (both.gradients[0] - both.gradients[1]).cpu().contiguous();
    const float* values = d.const_data_ptr<float>();
    std::copy(values, values + d.numel(), out.row(static_cast<int64_t>(p)).begin());
  }
  return out;
}

// Gram-Schmidt, each row twice against those before it.
void orthonormalise(ModuleDirections& module) {
  const auto size = static_cast<size_t>(module.span.size);
  const auto row = [&](int64_t i) {
    return std::span<double>(module.v).subspan(static_cast<size_t>(i) * size, size);
  };
  for (int64_t i = 0; i < module.k; ++i) {
    for (int64_t j = 0; j < 2 * i; ++j) {
      const double along = dot(module.row(j % i), std::span<const double>(row(i)));
      for (size_t c = 0; c < size; ++c) row(i)[c] -= along * row(j % i)[c];
    }
    const double length = norm(std::span<const double>(row(i)));
    for (auto& value : row(i)) value /= length;
  }
}

Directions random_like(const Directions& real, uint64_t seed) {
  auto out = real;
  for (auto& module : out.modules) {
    const base::RandomStream random(seed, module.span.module, "sweep: random directions");
    for (size_t i = 0; i < module.v.size(); ++i) module.v[i] = random.normal(i);
    orthonormalise(module);
    const double length = norm(std::span<const double>(module.mean));
    const auto first = module.row(0);
    for (size_t i = 0; i < module.mean.size(); ++i) module.mean[i] = length * first[i];
  }
  return out;
}

}  // namespace

SweepDirections make_sweep_directions(const lm::Model& base, const lm::LiveAdapter& adapter,
                                      const std::vector<EncodedPair>& pairs,
                                      const ExtractionOptions& axes, uint64_t seed) {
  std::vector<ModuleSpan> spans;
  for (const auto& m : adapter.modules)
    spans.push_back({m.name, m.name.substr(m.name.rfind('.') + 1), m.first, m.count});
  SweepDirections out;
  out.hack = extract_directions(contrasts(base, adapter, pairs), spans, axes);
  out.random = random_like(out.hack, seed);
  return out;
}

namespace {

std::vector<EncodedPair> contrast_pairs(const Setup& setup) {
  auto pairs = setup.pairs;
  pairs.resize(pairs.size() - static_cast<size_t>(setup.config.extraction.heldout));
  return pairs;
}

lm::LoadOptions load_options(const GrpoConfig& config, at::Device device) {
  return {.dtype = config.model.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat, .device = device};
}

// The policy that runs begin with.
std::shared_ptr<const lm::Model> start_of(const run::Context& context, const GrpoConfig& config) {
  auto model = lm::shared_model(context, config.model.dir, load_options(config, context.device()));
  if (config.sweep.start.empty()) return model;
  auto start = lm::load_adapter(config.sweep.start, *model);
  for (auto& module : start.modules) module.scale *= config.sweep.start_strength;
  return lm::with_adapter(*model, start);
}

// Pages of the key/value cache: what the sequences in flight can use, less where an update needs
// the room. Backward passes keep, of each token that goes through at once, what stands on both
// sides of every linear layer and between its factors, and half as much again for the layers
// between. 0 on the CPU: no limit.
int64_t cache_pages(const SweepMachine& machine, const SweepConfig& sweep, int64_t longest) {
  const auto& model = *machine.base;
  if (model.device().is_cpu()) return 0;
  double kept = 0;
  for (const auto& m : machine.adapter.modules) kept += static_cast<double>(m.in + m.out + m.rank);
  const double update = 1.5 * 2 * kept * static_cast<double>(std::max(sweep.batch_tokens, longest));
  const auto page =
      static_cast<double>(nn::page_bytes(model.attention_layers(), model.dtype(), model.device()));
  const int64_t useful = sweep.batch * ((longest + nn::kPageTokens - 1) / nn::kPageTokens + 1);
  const double room = 0.85 * nn::free_bytes(model.device()) - update;
  return std::clamp<int64_t>(static_cast<int64_t>(room / page), 1, useful);
}

SweepMachine make_machine(const run::Context& context, const Setup& setup) {
  const auto& config = setup.config;
  const auto& student = setup.student;
  const auto end = end_of_answer(student);
  if (!end) throw base::data_error(config.model.dir + ": names no token that ends an answer");
  SweepMachine out;
  out.base = start_of(context, config);
  const std::filesystem::path factors = config.probe.factors;
  out.adapter = lm::make_adapter(*out.base, config.sweep.adapter, setup.seed,
                                 factors.empty() ? context.out() / "factors" : factors);
  out.directions = make_sweep_directions(*out.base, out.adapter, contrast_pairs(setup),
                                         config.extraction.axes, setup.seed);
  auto test = config;
  test.pools.problems = config.test;
  auto source = std::make_shared<GradedSource>(
      setup.judge(), config.pools.grader, setup.problems.list, load_problems(test, student).list,
      [&](const std::string& prompt) { return policy_prompt(config, student, prompt); });
  const int64_t longest = source->longest_prompt() + config.sweep.max_new_tokens;
  out.generator = {.batch = config.sweep.batch,
                   .longest = longest,
                   .cache_pages = cache_pages(out, config.sweep, longest),
                   .tokenizer = &student.tokenizer};
  out.source = std::move(source);
  out.stop_ids = {*end};
  return out;
}

}  // namespace

std::unique_ptr<run::Search> make_sweep(run::Context& context, std::shared_ptr<const Setup> setup) {
  return std::make_unique<SweepSearch>(context, setup->config.sweep,
                                       [&context, setup] { return make_machine(context, *setup); });
}

run::Estimate sweep_estimate(const GrpoConfig& config) {
  const auto& s = config.sweep;
  const auto model = lm::read_model_config(config.model.dir);
  const auto parameters = static_cast<double>(model.parameters());
  const auto runs = static_cast<double>(s.seeds.size() * s.arms.size());
  const auto written = runs * static_cast<double>(s.steps * s.prompts * s.group);
  const auto length = static_cast<double>(s.max_new_tokens);
  run::Estimate out;
  out.units = std::ssize(s.seeds) * std::ssize(s.arms);
  out.ranks = out.units;
  // Written, scored by policy and reference where there is a K3, and differentiated.
  const double passes = s.kl > 0 ? 4 : 2;
  out.model_calls = written * passes;
  out.tokens = out.model_calls * length;
  out.flop = parameters * length * written * (2 * (passes - 1) + 4);
  out.bytes_per_worker = lm::weight_bytes(model, load_options(config, at::kCPU));
  out.notes.push_back(base::str(static_cast<int64_t>(written),
                                " answers of training to write and judge in ", out.units,
                                " runs; those of evaluations apart"));
  return out;
}

}  // namespace preimage::grpo
