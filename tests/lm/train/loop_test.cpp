// ranks: 1 2 3
// The loop of every training: ends, stops, states on disk and what is refused.
#include "preimage/lm/train/loop.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "ranked_main.hpp"

namespace preimage::lm {
namespace {

namespace fs = std::filesystem;

// Five micro-shards pull three numbers towards five points; the validation is how far they are from
// a sixth.
struct Toy {
  TensorList list = {{"w", {3, 1}}};
  Parameters parameters = make_parameters(list, at::kCPU);
  optim::AdamWState adam{at::zeros({3}), at::zeros({3}), 0};
  const cluster::Communicator& world;
  int64_t made = 0;  // steps of this process
  std::function<void(int64_t)> before_step = [](int64_t) {};

  explicit Toy(const cluster::Communicator& ranks) : world(ranks) {}

  StepReport step(int64_t number) {
    before_step(number);
    ++made;
    const auto leaves = make_leaves(parameters, list, at::kFloat);
    const auto result = data_parallel_step(
        {parameters, adam, world}, leaves, {.micro_shards = 5, .sums = 1, .learning_rate = 0.05},
        [&](int64_t shard) -> ShardLoss {
          const auto gap = leaves.in_order[0] - at::tensor({1.0f, 0.1f * static_cast<float>(shard),
                                                            static_cast<float>(number % 7)})
                                                    .view({3, 1});
          return {gap.square().sum() / 5, {1}};
        });
    return {result.loss,
            result.gradient_norm,
            0.05,
            5,
            {result.sums[0], 10.0 * static_cast<double>(number)}};
  }
  double validate() const {
    return (parameters.flat - at::tensor({0.4f, 0.1f, 0.3f})).square().sum().item<double>();
  }
};

LoopResult run(Toy& toy, const LoopOptions& options, const LoopPlace& place = {},
               const std::function<double()>& validate = {}) {
  return run_loop({toy.parameters, toy.adam, toy.world},
                  {.step = [&](int64_t number) { return toy.step(number); },
                   .validate = validate ? validate : [&] { return toy.validate(); }},
                  options, place);
}

// A folder that all ranks share.
class Loops : public testing::Test {
 protected:
  Loops() {
    folder_ = fs::temp_directory_path() /
              base::str("preimage-loop-test-", tests::world().broadcast(base::str(::getpid())));
    if (tests::world().root()) fs::create_directories(folder_);
    tests::world().barrier();
  }
  ~Loops() override {
    tests::world().barrier();
    if (tests::world().root()) fs::remove_all(folder_);
    tests::world().barrier();
  }
  fs::path state() const { return folder_ / "state.safetensors"; }
  static LoopOptions options() {
    return {.identity = "toy",
            .steps = 20,
            .evaluate_every = 3,
            .keep_best = true,
            .checkpoint_interval_s = 1e6,
            .remedy = "lower the rate"};
  }

 private:
  fs::path folder_;
};

void expect_same(const LoopResult& a, const LoopResult& b) {
  ASSERT_EQ(a.curve.size(), b.curve.size());
  for (size_t i = 0; i < a.curve.size(); ++i) {
    const auto& x = a.curve[i];
    const auto& y = b.curve[i];
    EXPECT_EQ(x.step, y.step);
    EXPECT_EQ(x.loss, y.loss) << i;
    EXPECT_EQ(x.gradient_norm, y.gradient_norm) << i;
    EXPECT_EQ(x.learning_rate, y.learning_rate) << i;
    EXPECT_EQ(x.numbers, y.numbers) << i;
    EXPECT_TRUE(x.validation == y.validation ||
                (std::isnan(x.validation) && std::isnan(y.validation)))
        << i;
  }
  EXPECT_EQ(a.best_step, b.best_step);
  EXPECT_TRUE(at::equal(a.best, b.best));
}

TEST_F(Loops, MeasuresWhereItIsDueAndKeepsTheBest) {
  Toy toy(tests::world());
  at::Tensor best;
  double least = INFINITY;
  const auto result = run(toy, options(), {}, [&] {
    const double value = toy.validate();
    if (value < least) least = value, best = toy.parameters.flat.clone();
    return value;
  });
  EXPECT_TRUE(result.finished);
  ASSERT_EQ(result.curve.size(), 20u);
  for (const auto& point : result.curve) {
    const bool due = (point.step + 1) % 3 == 0 || point.step == 19;
    EXPECT_EQ(std::isnan(point.validation), !due) << point.step;
    EXPECT_EQ(point.numbers, (std::vector<double>{5, 10.0 * static_cast<double>(point.step)}));
    EXPECT_GT(point.items_per_s, 0);
  }
  EXPECT_EQ(result.best_validation, least);
  EXPECT_EQ(result.curve[static_cast<size_t>(result.best_step)].validation, least);
  EXPECT_TRUE(at::equal(result.best, best));
  EXPECT_FALSE(at::equal(result.best, toy.parameters.flat));  // it is not the last
}

TEST_F(Loops, SameBitsOnAnyNumberOfRanks) {
  const auto alone = cluster::alone();
  Toy together(tests::world()), one(alone);
  expect_same(run(together, options()), run(one, options()));
  EXPECT_TRUE(at::equal(together.parameters.flat, one.parameters.flat));
}

TEST_F(Loops, PatienceCountsValidationsSinceTheBest) {
  Toy toy(tests::world());
  auto how = options();
  how.patience = 2;
  std::vector<double> values = {3, 2, 2.5, NAN, 1, 1, 4, 0};
  size_t at = 0;
  const auto result = run(toy, how, {}, [&] { return values.at(at++); });
  EXPECT_EQ(result.best_step, 14);      // the fifth validation
  EXPECT_EQ(result.curve.size(), 20u);  // 1 and 4 are at steps 17 and, the last, 19
  at = 0, values = {3, 4, 5, 0};
  Toy again(tests::world());
  EXPECT_EQ(run(again, how, {}, [&] { return values.at(at++); }).curve.size(), 9u);
  at = 0, values = {3, 4, 5, 6, 5, 5, 5};
  how.higher_is_better = true;
  Toy upwards(tests::world());
  EXPECT_EQ(run(upwards, how, {}, [&] { return values.at(at++); }).best_step, 11);
}

TEST_F(Loops, WithoutAValueTheBestIsTheLast) {
  Toy toy(tests::world());
  const auto result = run(toy, options(), {}, [] { return NAN; });
  EXPECT_EQ(result.best_step, -1);
  EXPECT_TRUE(at::equal(result.best, toy.parameters.flat));
}

// The budget of one rank alone says stop: all leave behind the same step, and go on to the same
// bits, on the same steps.
TEST_F(Loops, StopsTogetherWhereOneRankMustAndGoesOnToTheSameBits) {
  Toy whole(tests::world());
  const auto expected = run(whole, options());
  base::Budget budget;
  Toy first(tests::world());
  const int last = tests::world().size() - 1;
  first.before_step = [&](int64_t number) {
    if (number == 7 && tests::world().rank() == last) budget.request_stop();
  };
  const auto stopped = run(first, options(), {state(), &budget});
  EXPECT_FALSE(stopped.finished);
  EXPECT_EQ(stopped.stop_reason, "signal");  // on the ranks that saw none too
  EXPECT_EQ(stopped.curve.size(), 8u);
  base::Budget more;
  Toy second(tests::world());
  const auto result = run(second, options(), {state(), &more});
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(second.made, 12);
  expect_same(result, expected);
  EXPECT_TRUE(at::equal(second.parameters.flat, whole.parameters.flat));
  // A training that is over is read, not made again.
  Toy third(tests::world());
  expect_same(run(third, options(), {state(), &more}), expected);
  EXPECT_EQ(third.made, 0);
}

// What a kill without any warning leaves: the last state that was due, and half a file beside it.
TEST_F(Loops, StatesAreWrittenByTimeSoThatAKillLosesLittle) {
  Toy whole(tests::world());
  const auto expected = run(whole, options());
  auto how = options();
  how.checkpoint_interval_s = 0;
  Toy killed(tests::world());
  bool there = false;
  killed.before_step = [&](int64_t number) {
    if (number != 12) {
      ::usleep(2000);
      return;
    }
    tests::world().barrier();
    there = fs::exists(state());
    throw cluster::CollectiveError(base::ExitCode::bug, "killed");
  };
  EXPECT_THROW(run(killed, how, {state()}), cluster::CollectiveError);
  EXPECT_TRUE(there);
  if (tests::world().root()) std::ofstream(state().string() + ".tmp") << "half";
  tests::world().barrier();
  Toy second(tests::world());
  expect_same(run(second, how, {state()}), expected);
  EXPECT_LT(second.made, 20);
  EXPECT_GE(second.made, 8);
}

std::string error_of(const std::function<void()>& action, base::ExitCode code) {
  try {
    action();
  } catch (const cluster::CollectiveError& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "no error that all ranks throw";
  return "";
}

TEST_F(Loops, ALossThatIsNotFiniteEndsAllRanks) {
  Toy toy(tests::world());
  toy.before_step = [&](int64_t number) {
    if (number == 4) toy.parameters.flat.fill_(INFINITY);
  };
  const auto text = error_of([&] { run(toy, options()); }, base::ExitCode::bad_config);
  EXPECT_THAT(text, testing::HasSubstr("training diverged at step 4: loss "));
  EXPECT_THAT(text, testing::HasSubstr("; lower the rate"));
}

TEST_F(Loops, AStateOfAnotherTrainingIsRefusedByAllRanks) {
  Toy toy(tests::world());
  run(toy, options(), {state()});
  auto other = options();
  other.identity = "toy with another rate";
  Toy second(tests::world());
  const auto text = error_of([&] { run(second, other, {state()}); }, base::ExitCode::bad_data);
  EXPECT_THAT(text, testing::HasSubstr("state.safetensors: the state of another training"));
  tests::world().barrier();
  if (tests::world().root()) fs::resize_file(state(), fs::file_size(state()) - 8);
  tests::world().barrier();
  Toy third(tests::world());
  EXPECT_THAT(error_of([&] { run(third, options(), {state()}); }, base::ExitCode::bad_data),
              testing::HasSubstr("state.safetensors"));
}

TEST_F(Loops, AStateThatCannotBeWrittenEndsAllRanks) {
  Toy toy(tests::world());
  const auto nowhere = state().parent_path() / "missing" / "state.safetensors";
  EXPECT_THAT(error_of([&] { run(toy, options(), {nowhere}); }, base::ExitCode::io),
              testing::HasSubstr("missing/state.safetensors.tmp: cannot be created"));
}

}  // namespace
}  // namespace preimage::lm
