// The Ouroboros training step and scoring, on the CPU or a GPU, at the sizes of the original:
//
//   verifier_bench [--cuda] [--layers 12] [--hidden 512] [--steps 30] [--groups 16] [--shards 1]
//
// bench/peers/verifier_peer.py times a PyTorch implementation on the same lengths.
#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "experiments/verifier/arms/training.hpp"
#include "preimage/base/str.hpp"

namespace preimage::verifier {
namespace {

struct BenchOptions {
  bool cuda = false;
  int64_t layers = 12, hidden = 512, steps = 30, groups = 16, shards = 1;
};

BenchOptions parse(int argc, char** argv) {
  BenchOptions out;
  for (int i = 1; i < argc; ++i) {
    const auto number = [&](const char* name, int64_t& value) {
      if (std::strcmp(argv[i], name) == 0 && i + 1 < argc) value = std::atoll(argv[++i]);
    };
    if (std::strcmp(argv[i], "--cuda") == 0) out.cuda = true;
    number("--layers", out.layers);
    number("--hidden", out.hidden);
    number("--steps", out.steps);
    number("--groups", out.groups);
    number("--shards", out.shards);
  }
  return out;
}

// Prompts of 60 to 179 tokens, programs of 80 to 319: the same rule as in verifier_peer.py.
EncodedProgram program(int64_t index) {
  EncodedProgram out;
  const int64_t prompt = 60 + index * 37 % 120;
  out.targets = 80 + index * 53 % 240;
  for (int64_t t = 0; t < prompt + out.targets; ++t)
    out.ids.push_back((index * 7919 + t * 104729) % 50257);
  return out;
}

struct Data {
  TrainingData training;
  std::unique_ptr<PairMiner> miner;
  std::vector<EncodedProgram> programs;
};

// One passing and four failing candidates a problem, as many problems as groups.
Data make_data(int64_t groups) {
  Data out;
  std::vector<std::vector<MiningCandidate>> mined;
  for (int64_t g = 0; g < groups; ++g) {
    Examples examples;
    auto& candidates = mined.emplace_back();
    for (int64_t i = 0; i < 5; ++i) {
      const auto name = base::str(g, " ", i);
      candidates.push_back({name, name, i == 0});
      examples.programs.push_back(program(g * 5 + i));
      examples.passes.push_back(i == 0);
      out.programs.push_back(examples.programs.back());
    }
    out.training.train.push_back(std::move(examples));
  }
  out.miner = std::make_unique<PairMiner>(std::move(mined), MiningOptions{}, 0);
  out.training.miner = out.miner.get();
  return out;
}

void run(const BenchOptions& bench) {
  const at::Device device = bench.cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  const auto data = make_data(bench.groups);
  const OuroborosConfig config{.hidden_size = bench.hidden, .layers = bench.layers};
  const OuroborosArm arm(config);
  TrainingOptions options;
  options.epochs = bench.steps;
  options.batch_pairs = bench.groups * 4;
  options.micro_shards = bench.shards;
  options.dtype = bench.cuda ? "bfloat16" : "float32";
  options.evaluate_every = 1000000;
  options.patience = 0;
  const auto world = cluster::alone();
  const auto result = train({arm, data.training, options, {}, 1}, {world, device, {}, nullptr, {}});
  std::vector<double> rates;
  for (size_t i = result.loop.curve.size() / 4; i < result.loop.curve.size(); ++i)
    rates.push_back(result.loop.curve[i].items_per_s);
  std::nth_element(rates.begin(), rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2),
                   rates.end());
  const double pairs = rates[rates.size() / 2];
  std::printf("training: %lld parameters, %lld pairs a step: %.2f ms a step, %.0f pairs/s\n",
              static_cast<long long>(parameter_count(config)),
              static_cast<long long>(bench.groups * 4),
              1000 * static_cast<double>(bench.groups * 4) / pairs, pairs);
  const auto values =
      lm::make_leaves(result.best, arm.trained(), bench.cuda ? at::kBFloat16 : at::kFloat);
  const auto model = arm.build(values.by_name);
  score(*model, data.programs, options.batch_tokens);
  const double begin = base::monotonic_seconds();
  const int64_t rounds = bench.cuda ? 20 : 1;
  for (int64_t r = 0; r < rounds; ++r) score(*model, data.programs, options.batch_tokens);
  std::printf("scoring: %.0f energies/s\n",
              static_cast<double>(rounds * static_cast<int64_t>(data.programs.size())) /
                  (base::monotonic_seconds() - begin));
}

}  // namespace
}  // namespace preimage::verifier

int main(int argc, char** argv) {
  at::globalContext().setDeterministicAlgorithms(true, false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  preimage::verifier::run(preimage::verifier::parse(argc, argv));
}
