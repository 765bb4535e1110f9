// ranks: 1 2 3
// Training is the same on any number of ranks and after a stop, and learns what can be learned.
#include "arms/training.hpp"

#include <ATen/ATen.h>

#include <cmath>

#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "ranked_main.hpp"
#include "run/one_process.hpp"

namespace preimage::verifier {
namespace {

constexpr OuroborosConfig kTiny = {.vocab_size = 40, .hidden_size = 32, .layers = 1, .heads = 2};

// Programs of random tokens; the ones that hold token 39 fail.
struct Toy {
  std::vector<std::vector<MiningCandidate>> mined;
  TrainingData data;
  std::unique_ptr<PairMiner> miner;

  explicit Toy(int64_t problems) {
    const base::RandomStream random(5, "toy", "programs");
    uint64_t at = 0;
    for (int64_t p = 0; p < problems; ++p) {
      Examples examples;
      std::vector<MiningCandidate> candidates;
      for (int64_t i = 0; i < 6; ++i) {
        EncodedProgram program;
        for (int64_t t = 0; t < 3 + static_cast<int64_t>(random.below(4, at++)); ++t)
          program.ids.push_back(static_cast<int64_t>(random.below(38, at++)));
        program.targets = static_cast<int64_t>(random.below(2, at++)) + 3;
        for (int64_t t = 0; t < program.targets; ++t)
          program.ids.push_back(static_cast<int64_t>(random.below(38, at++)));
        const bool passes = i % 2 == 0;
        if (!passes) program.ids.back() = 39;
        candidates.push_back({base::str(p, " ", i), base::str(p, " ", i), passes});
        examples.programs.push_back(std::move(program));
        examples.passes.push_back(passes);
      }
      if (p % 3 == 2) {
        data.validation.push_back(std::move(examples));
      } else {
        data.train.push_back(std::move(examples));
        mined.push_back(std::move(candidates));
      }
    }
    miner = std::make_unique<PairMiner>(mined, MiningOptions{}, 1);
    data.miner = miner.get();
  }
};

TrainingOptions options() {
  TrainingOptions out;
  out.epochs = 12;
  out.batch_pairs = 15;  // five groups over eight shards: some have none
  out.lr = 3e-3;
  out.warmup_steps = 4;
  out.evaluate_every = 5;
  out.patience = 0;
  return out;
}

TrainingResult run(const Toy& toy, const cluster::Communicator& world, const TrainingOptions& how,
                   const std::filesystem::path& state = {}, base::Budget* budget = nullptr,
                   int64_t stop_after = -1) {
  const OuroborosArm arm(kTiny);
  return train({arm, toy.data, how, {}, 9},
               {world, at::kCPU, state, budget, [&](const lm::CurvePoint& point, int64_t) {
                  if (point.step == stop_after) budget->request_stop();
                }});
}

TEST(Training, SameBitsOnAnyNumberOfRanks) {
  const Toy toy(9);
  const auto alone = run(toy, cluster::alone(), options());
  const auto together = run(toy, tests::world(), options());
  ASSERT_EQ(alone.loop.curve.size(), together.loop.curve.size());
  for (size_t i = 0; i < alone.loop.curve.size(); ++i) {
    EXPECT_EQ(alone.loop.curve[i].loss, together.loop.curve[i].loss) << i;
    EXPECT_EQ(alone.loop.curve[i].numbers, together.loop.curve[i].numbers) << i;
    const double a = alone.loop.curve[i].validation, b = together.loop.curve[i].validation;
    EXPECT_TRUE(a == b || (std::isnan(a) && std::isnan(b))) << i;
  }
  EXPECT_TRUE(at::equal(alone.best.flat, together.best.flat));
  EXPECT_EQ(alone.loop.best_step, together.loop.best_step);
}

TEST(Training, LearnsWhichTokenFails) {
  const Toy toy(9);
  const auto result = run(toy, tests::world(), options());
  EXPECT_TRUE(result.loop.finished);
  EXPECT_GT(result.loop.best_validation, 0.8);  // 0.5 is chance
  EXPECT_LT(result.loop.curve.back().loss, result.loop.curve.front().loss);
}

TEST(Training, StopsAndGoesOnToTheSameBits) {
  const Toy toy(9);
  const auto whole = run(toy, tests::world(), options());
  const std::filesystem::path folder = std::filesystem::temp_directory_path() /
                                       base::str("preimage-training-test-", tests::world().size());
  if (tests::world().root()) {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
  }
  tests::world().barrier();
  const auto state = folder / "state.safetensors";
  base::Budget budget;
  const auto first = run(toy, tests::world(), options(), state, &budget, 7);
  EXPECT_FALSE(first.loop.finished);
  EXPECT_EQ(first.loop.curve.size(), 8u);
  tests::world().barrier();
  base::Budget again;
  const auto second = run(toy, tests::world(), options(), state, &again);
  EXPECT_TRUE(second.loop.finished);
  EXPECT_EQ(second.loop.curve.size(), whole.loop.curve.size());
  EXPECT_TRUE(at::equal(second.best.flat, whole.best.flat));
  tests::world().barrier();
  if (tests::world().root()) std::filesystem::remove_all(folder);
}

TEST(Training, PatienceEndsIt) {
  const Toy toy(9);
  auto how = options();
  how.lr = 0;  // nothing changes, so nothing gets better
  how.patience = 2;
  const auto result = run(toy, tests::world(), how);
  EXPECT_TRUE(result.loop.finished);
  EXPECT_EQ(result.loop.curve.size(), 15u);  // the first validation, and two more
  EXPECT_EQ(result.loop.best_step, 4);
}

}  // namespace
}  // namespace preimage::verifier
