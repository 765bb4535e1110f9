// The optimiser against what transformers and torch's Adam computed
// (scripts/fixtures/make_lm_fixtures.py), against the scorer, and against itself in other company.
#include "optimiser.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <map>
#include <set>

#include "lm/fixture.hpp"
#include "preimage/lm/generate/generate.hpp"
#include "preimage/lm/score.hpp"

namespace preimage::dcm {
namespace {

using Ids = std::vector<int64_t>;
using lm::fixture;

double scaled_error(const at::Tensor& ours, const at::Tensor& theirs) {
  return ((ours - theirs).abs().max() / theirs.abs().max()).item<double>();
}

// Everything of a trajectory that is a result, as bits.
std::vector<int64_t> bits_of(const Trajectory& t) {
  std::vector<int64_t> bits = {t.steps, t.stopped, t.diverged, t.at_best.step};
  const auto add = [&](double v) { bits.push_back(std::bit_cast<int64_t>(v)); };
  for (const auto& losses : t.loss) std::for_each(losses.begin(), losses.end(), add);
  for (const auto* values : {&t.manifold, &t.learning_rate}) {
    std::for_each(values->begin(), values->end(), add);
  }
  for (const auto& p : t.products) add(p.dot), add(p.qq), add(p.aa);
  for (const auto& side : t.at_best.sides) {
    add(side.loss), add(side.max_nll), bits.push_back(side.greedy);
    for (const float nll : side.nll) add(nll);
  }
  const auto best = t.best.contiguous();
  for (int64_t i = 0; i < best.numel(); ++i) add(best.const_data_ptr<float>()[i]);
  return bits;
}

class Optimisers : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const lm::Model> model = lm::load_model(fixture(GetParam()), {});
  base::Json expected = base::read_json(fixture(GetParam()) / "expected.json");
  lm::SafetensorsFile tensors{fixture(GetParam()) / "expected.safetensors"};

  at::Tensor tensor(const std::string& name) const { return tensors.read(*tensors.find(name)); }
  at::Tensor modes() const {
    const auto& adam = expected["adam"];
    return model->embed(
        at::tensor(Ids{adam["mode_q"].get<int64_t>(), adam["mode_a"].get<int64_t>()}, at::kLong));
  }
  Ids target(const char* side) const {
    auto ids = expected["adam"][std::string("target_") + side].get<Ids>();
    ids.push_back(expected["adam"]["eos"].get<int64_t>());
    return ids;
  }
  // The problem of the fixture.
  SoftPromptProblem published() const {
    return {.initial = tensor("adam.c0"),
            .sides = {{kQuestion, {{target("q")}}}, {kAnswer, {{target("a")}}}}};
  }
  // A problem made from its number: other K, lengths and start.
  SoftPromptProblem other(int64_t n) const {
    const int64_t vocab = model->config().vocab_size, k = 1 + n % 6;
    const auto ids = [&](int64_t count, int64_t salt) {
      Ids out;
      for (int64_t i = 0; i < count; ++i) out.push_back((salt * 37 + i * i * 11 + i * 5) % vocab);
      return out;
    };
    auto initial = at::empty({k, model->config().hidden_size}, at::kFloat);
    float* values = initial.data_ptr<float>();
    for (int64_t i = 0; i < initial.numel(); ++i) {
      values[i] = static_cast<float>((i * 7919 + n * 104729) % 2003 - 1001) / 4000.0F;
    }
    return {
        .tag = n,
        .initial = initial,
        .sides = {{kQuestion, {{ids(1 + n * 3 % 11, n)}}}, {kAnswer, {{ids(1 + n % 4, n + 50)}}}}};
  }
  Optimiser optimiser(const OptimiserOptions& options) const { return {model, modes(), options}; }
  Trajectory solo(SoftPromptProblem problem, const OptimiserOptions& options) const {
    auto one = optimiser(options);
    one.add(std::move(problem));
    auto ended = one.run(options.schedule.steps + 1);
    EXPECT_EQ(ended.size(), 1u);
    EXPECT_TRUE(one.empty());
    return std::move(ended.at(0));
  }
  // Steps so small against epsilon that Adam's first one is -gradient / 10: shows the gradient.
  at::Tensor gradient(SoftPromptProblem problem, OptimiserOptions options = {}) const {
    options.schedule = {.kind = "constant", .lr = 1e5, .steps = 1};
    options.adam = {.epsilon = 1e6, .clip = 0};
    const auto start = problem.initial.clone();
    problem.stop = [](const Evaluation& at) { return at.step == 1; };
    return (start - solo(std::move(problem), options).best) * 10;
  }
};
INSTANTIATE_TEST_SUITE_P(Qwen2, Optimisers,
                         testing::Values("qwen2_tied", "qwen2_untied", "qwen2_rope"));

const OptimiserOptions plan{.schedule = {.kind = "cosine", .lr = 0.01, .steps = 50}};

TEST_P(Optimisers, FiftyStepsOfTransformersAndTorchAdam) {
  auto problem = published();
  // The last c, not the best.
  problem.stop = [](const Evaluation& at) { return at.step == 50; };
  const auto ours = solo(std::move(problem), plan);
  ASSERT_EQ(ours.steps, 50);
  ASSERT_EQ(ours.loss[kQuestion].size(), 51u);
  const auto theirs_q = tensor("adam.loss_q"), theirs_a = tensor("adam.loss_a");
  const auto norms = tensor("adam.grad_norm");
  for (int64_t t = 0; t < 50; ++t) {
    const auto i = static_cast<size_t>(t);
    const auto relative = [&](double value, const at::Tensor& all) {
      return std::abs(value / all[t].item<double>() - 1);
    };
    EXPECT_LT(relative(ours.loss[kQuestion][i], theirs_q), 1e-5) << t;
    EXPECT_LT(relative(ours.loss[kAnswer][i], theirs_a), 1e-5) << t;
    // Losses and c are held to 1e-5; the norm of the gradient was seen to differ by up to 7e-5.
    const auto& p = ours.products[i];
    EXPECT_LT(relative(std::sqrt(p.qq + p.aa + 2 * p.dot), norms), 1e-4) << t;
  }
  EXPECT_LT(scaled_error(ours.best, tensor("adam.c")), 1e-5);
  EXPECT_LT(ours.loss[kQuestion][50], ours.loss[kQuestion][0]);
}

TEST_P(Optimisers, GradientOfTransformers) {
  const auto& soft = expected["soft"];
  auto ids = soft["target"].get<Ids>();
  ids.push_back(soft["eos"].get<int64_t>());
  const int64_t k = soft["k"].get<int64_t>();
  const SoftPromptProblem problem{
      .initial = tensor("soft.inputs_embeds").narrow(0, 1, k).contiguous(),
      .sides = {{kQuestion, {{ids}}}}};
  const auto theirs = tensor("soft.grad").narrow(0, 1, k) / static_cast<double>(ids.size());
  EXPECT_LT(scaled_error(gradient(problem), theirs), 1e-5);
}

// Test value 4 of the reference: rows 2, 3, 4 of (mode, c_1, c_2, 7, 8, 9) predict 7, 8, 9; the
// rows 1, 2, 3 of the misaligned loss give other numbers.
TEST_P(Optimisers, RowsKAndOnPredictTheTargets) {
  const at::NoGradGuard no_grad;
  const auto c = tensor("adam.c0").narrow(0, 0, 2);
  auto one = optimiser(plan);
  std::vector<float> nll;
  one.add({.initial = c, .sides = {{kAnswer, {{{7, 8, 9}}}}}, .stop = [&](const Evaluation& at) {
             nll = at.sides[0].nll;
             return true;
           }});
  ASSERT_EQ(one.run(1).size(), 1u);
  const auto x = at::cat(
      {modes()[kAnswer].unsqueeze(0), c, model->embed(at::tensor(Ids{7, 8, 9}, at::kLong))});
  const auto logprobs = at::log_softmax(
      nn::linear(model->hidden(x, nn::PackedAttention(nn::make_packing({6}, at::kCPU))),
                 model->head()),
      1);
  ASSERT_EQ(nll.size(), 3u);
  float misaligned = 0;
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(nll[static_cast<size_t>(i)], -logprobs[2 + i][7 + i].item<float>(), 1e-4);
    misaligned = std::max(
        misaligned, std::abs(nll[static_cast<size_t>(i)] + logprobs[1 + i][7 + i].item<float>()));
  }
  EXPECT_GT(misaligned, 0.5);
}

TEST_P(Optimisers, LossIsWhatTheScorerGives) {
  auto options = plan;
  options.schedule.steps = 7;
  const auto ours = solo(published(), options);
  const char* names[] = {"q", "a"};
  for (const int side : {kQuestion, kAnswer}) {
    const auto prompt = at::cat({modes()[side].unsqueeze(0), ours.best});
    const auto score =
        lm::score(*model, {{.embeddings = prompt, .continuation = target(names[side])}}, {})[0];
    const auto& at = ours.at_best.sides[static_cast<size_t>(side)];
    ASSERT_EQ(at.nll.size(), score.logprobs.size());
    double mean = 0, worst = 0;
    for (size_t i = 0; i < at.nll.size(); ++i) {
      EXPECT_NEAR(at.nll[i], -score.logprobs[i], 1e-5 * std::max(1.0F, at.nll[i])) << i;
      mean += at.nll[i] / static_cast<double>(at.nll.size());
      worst = std::max(worst, static_cast<double>(at.nll[i]));
    }
    EXPECT_NEAR(at.loss, mean, 1e-6 * mean);
    EXPECT_EQ(at.max_nll, worst);
  }
}

// What greedy decoding gives from (mode, c) is greedy at c; one token later it is not.
TEST_P(Optimisers, GreedyMeansThatDecodingGivesTheTarget) {
  const auto c = tensor("adam.c0");
  const auto prompt = at::cat({modes()[kQuestion].unsqueeze(0), c});
  const auto decoded =
      lm::generate(*model, {{.embeddings = prompt, .max_new_tokens = 8}}, {})[0].ids;
  ASSERT_EQ(decoded.size(), 8u);
  ASSERT_GT(std::set<int64_t>(decoded.begin(), decoded.end()).size(), 1u);
  auto one = optimiser(plan);
  std::map<int64_t, bool> greedy;
  const auto add = [&](int64_t tag, const Ids& ids) {
    one.add({.tag = tag,
             .initial = c,
             .sides = {{kQuestion, {{ids}}}},
             .stop = [&greedy, tag](const Evaluation& at) {
               return greedy[tag] = at.sides[0].greedy, true;
             }});
  };
  add(0, decoded);
  add(1, Ids(decoded.begin() + 1, decoded.end()));
  auto last = decoded;
  last.back() = (last.back() + 1) % model->config().vocab_size;
  add(2, last);
  EXPECT_EQ(one.run(1).size(), 3u);
  EXPECT_EQ(greedy, (std::map<int64_t, bool>{{0, true}, {1, false}, {2, false}}));
}

// Seven problems, three of them added while others run; some leave early.
TEST_P(Optimisers, ATrajectoryHasTheBitsOfItsSoloRun) {
  const int threads = at::get_num_threads();
  for (const bool full : {false, true}) {
    OptimiserOptions options{.schedule = {.kind = "cosine", .lr = 0.02, .steps = 20}};
    if (full) options.projected = true, options.manifold_lambda = 0.1;
    const auto make = [&](int64_t n) {
      auto problem = n == 0 ? published() : other(n);
      if (n % 3 == 1) problem.stop = [n](const Evaluation& at) { return at.step == 4 * n + 3; };
      if (n == 5) problem.sides.pop_back();
      if (n == 6) problem.sides[0].targets.push_back({{3, 1, 4, 1, 5}, 0.5});
      return problem;
    };
    at::set_num_threads(1);
    std::map<int64_t, std::vector<int64_t>> alone;
    for (int64_t n = 0; n < 7; ++n) alone[n] = bits_of(solo(make(n), options));
    for (const int count : {1, 2}) {
      at::set_num_threads(count);
      auto batch = optimiser(options);
      std::map<int64_t, std::vector<int64_t>> together;
      const auto run = [&](int64_t steps) {
        for (const auto& t : batch.run(steps)) together[t.tag] = bits_of(t);
      };
      for (const int64_t n : {4, 1, 5, 3}) batch.add(make(n));
      run(9);
      batch.add(make(0));
      run(5);
      for (const int64_t n : {6, 2}) batch.add(make(n));
      while (!batch.empty()) run(7);
      EXPECT_EQ(together, alone) << count << " threads, " << (full ? "projected" : "plain");
    }
  }
  at::set_num_threads(threads);
}

// A problem that starts at NaN ends at once and touches nobody.
TEST_P(Optimisers, ADivergedProblemLeavesTheOthersAlone) {
  auto options = plan;
  options.schedule.steps = 12;
  const auto alone = bits_of(solo(other(3), options));
  auto batch = optimiser(options);
  auto bad = other(2);
  bad.initial.fill_(std::numeric_limits<float>::quiet_NaN());
  auto worse = published();
  worse.tag = 9;
  worse.initial[1][3] = std::numeric_limits<float>::infinity();
  bool asked = false;
  bad.stop = [&](const Evaluation&) { return asked = true; };
  batch.add(bad), batch.add(other(3)), batch.add(worse);
  std::map<int64_t, Trajectory> ended;
  while (!batch.empty()) {
    for (auto& t : batch.run(5)) ended[t.tag] = std::move(t);
  }
  EXPECT_EQ(bits_of(ended.at(3)), alone);
  for (const int64_t tag : {2, 9}) {
    const auto& t = ended.at(tag);
    EXPECT_TRUE(t.diverged);
    EXPECT_FALSE(t.stopped);
    EXPECT_EQ(t.steps, 0);
    EXPECT_EQ(t.loss[kQuestion].size(), 1u);
    // Not a number is not below ln 2: no diverged problem is tight.
    for (const auto& side : t.at_best.sides) EXPECT_FALSE(side.max_nll < 0.693);
  }
  EXPECT_FALSE(asked);
}

TEST_P(Optimisers, ADroppedProblemLeavesTheOthersAlone) {
  auto options = plan;
  options.schedule.steps = 12;
  const auto alone = bits_of(solo(other(3), options));
  auto batch = optimiser(options);
  batch.add(other(2)), batch.add(other(3)), batch.add(other(4));
  EXPECT_TRUE(batch.run(5).empty());
  batch.drop(2), batch.drop(4), batch.drop(77);  // nobody has the last: nothing happens
  EXPECT_EQ(batch.tokens(), Optimiser::tokens_of(other(3)));
  const auto ended = batch.run(20);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(bits_of(ended[0]), alone);
  EXPECT_TRUE(batch.empty());
}

TEST_P(Optimisers, StopEndsAProblemAtThatC) {
  auto problem = published();
  std::vector<double> totals;
  problem.stop = [&](const Evaluation& at) {
    EXPECT_EQ(at.step, static_cast<int64_t>(totals.size()));
    totals.push_back(at.total());
    return totals.size() > 1 && totals.back() > totals[totals.size() - 2];
  };
  auto options = plan;
  options.schedule = {.kind = "constant", .lr = 0.3, .steps = 200};  // the loss goes up at times
  const auto t = solo(problem, options);
  EXPECT_TRUE(t.stopped);
  EXPECT_LT(t.steps, 200);
  EXPECT_EQ(t.steps + 1, static_cast<int64_t>(totals.size()));
  EXPECT_EQ(t.at_best.step, t.steps);
  EXPECT_EQ(t.at_best.total(), totals.back());
  EXPECT_GT(totals.back(), *std::min_element(totals.begin(), totals.end()));
}

// Without a stop the c with the smallest loss evaluated at it is kept.
TEST_P(Optimisers, KeepsTheBestEvaluatedC) {
  auto options = plan;
  options.schedule = {.kind = "constant", .lr = 1, .steps = 20};
  const auto t = solo(published(), options);
  size_t best = 0;
  const auto total = [&](size_t i) { return t.loss[0][i] + t.loss[1][i]; };
  for (size_t i = 0; i < t.loss[0].size(); ++i) best = total(i) < total(best) ? i : best;
  EXPECT_EQ(t.at_best.step, static_cast<int64_t>(best));
  auto again = published();
  again.initial = t.best;
  EXPECT_EQ(solo(again, options).loss[0][0], t.loss[0][best]);
}

TEST_P(Optimisers, OneSideAloneIsThatSideOfTheJointProblem) {
  auto question = published(), answer = published();
  question.sides.pop_back(), answer.sides.erase(answer.sides.begin());
  const auto joint = gradient(published());
  EXPECT_LT(scaled_error(gradient(question) + gradient(answer), joint), 1e-5);
  const auto evaluated = solo(published(), plan);
  EXPECT_EQ(solo(question, plan).loss[0][0], evaluated.loss[kQuestion][0]);
  EXPECT_EQ(solo(answer, plan).loss[0][0], evaluated.loss[kAnswer][0]);
  const auto g = gradient(question).to(at::kDouble);
  EXPECT_NEAR(evaluated.products[0].qq / g.square().sum().item<double>(), 1, 1e-4);
}

TEST_P(Optimisers, ParaphrasesShareTheLossAndTheOriginalIsEvaluated) {
  const Ids one = {9, 4, 77, 30}, two = {8, 8, 15};
  const auto with = [&](std::vector<Target> targets) {
    return SoftPromptProblem{.initial = tensor("adam.c0"),
                             .sides = {{kQuestion, std::move(targets)}}};
  };
  const auto ids = target("q");
  const auto sum = gradient(with({{ids}})) * 0.5 + gradient(with({{one}})) * 0.25 +
                   gradient(with({{two}})) * 0.25;
  EXPECT_LT(scaled_error(gradient(with({{ids, 0.5}, {one, 0.25}, {two, 0.25}})), sum), 1e-5);
  // The losses are the original's, whatever its weight.
  const auto weighted = solo(with({{ids, 0}, {one, 1}}), plan);
  EXPECT_EQ(weighted.loss[0][0], solo(with({{ids}}), plan).loss[0][0]);
  EXPECT_EQ(weighted.at_best.sides[0].nll.size(), ids.size());
}

// Each gradient goes onto the other's normal plane where they disagree, both from the originals.
TEST_P(Optimisers, ProjectedObjective) {
  int conflicts = 0, agreements = 0;
  for (int64_t n = 0; n < 24 && (conflicts < 3 || agreements < 3); ++n) {
    auto question = other(n), answer = other(n);
    question.sides.pop_back(), answer.sides.erase(answer.sides.begin());
    const auto q = gradient(question), a = gradient(answer);
    const double qa = (q * a).sum().item<double>();
    auto expected_sum = q + a;
    if (qa < 0) {
      expected_sum = expected_sum - a * (qa / a.square().sum().item<double>()) -
                     q * (qa / q.square().sum().item<double>());
    }
    (qa < 0 ? conflicts : agreements) += 1;
    EXPECT_LT(scaled_error(gradient(other(n), {.projected = true}), expected_sum), 1e-4) << n;
  }
  EXPECT_GE(conflicts, 3);
  EXPECT_GE(agreements, 3);
}

// lambda / K sum_k min_j |c_k - E_j|^2 / rms(E)^2 in double, and its numerical derivative.
TEST_P(Optimisers, ManifoldTerm) {
  const double lambda = 0.7;
  const auto table = model->embedding_table().to(at::kDouble);
  const auto term = [&](const at::Tensor& c) {
    const auto distances = (c.unsqueeze(1) - table.unsqueeze(0)).square().sum(2);
    return lambda * (std::get<0>(distances.min(1)).mean() / table.square().mean()).item<double>();
  };
  const auto problem = published();
  const auto ours = gradient(problem, {.manifold_lambda = lambda}) - gradient(problem);
  const auto c = problem.initial.to(at::kDouble);
  auto numerical = at::zeros_like(c);
  const double h = 1e-6;
  for (int64_t i = 0; i < c.size(0); ++i) {
    for (int64_t j = 0; j < c.size(1); ++j) {
      auto up = c.clone(), down = c.clone();
      up[i][j] += h, down[i][j] -= h;
      numerical[i][j] = (term(up) - term(down)) / (2 * h);
    }
  }
  EXPECT_LT(scaled_error(ours.to(at::kDouble), numerical), 1e-4);
  OptimiserOptions options = plan;
  options.manifold_lambda = lambda;
  const auto t = solo(published(), options);
  ASSERT_EQ(t.manifold.size(), 50u);
  // The column is the distance itself, without its weight lambda.
  EXPECT_NEAR(t.manifold[0], term(c) / lambda, 1e-5 * term(c) / lambda);
}

// Adam starts afresh where the fine steps begin.
TEST_P(Optimisers, CoarseFineResetsTheMoments) {
  const OptimiserOptions both{
      .schedule = {
          .kind = "coarse-fine", .lr = 0.05, .steps = 12, .coarse_steps = 5, .fine_lr = 0.005}};
  auto coarse = published();
  coarse.stop = [](const Evaluation& at) { return at.step == 5; };
  auto fine = published();
  fine.initial = solo(coarse, both).best;
  const OptimiserOptions second{.schedule = {.kind = "constant", .lr = 0.005, .steps = 7}};
  const auto whole = solo(published(), both), rest = solo(fine, second);
  const std::vector<double> tail(whole.loss[0].begin() + 5, whole.loss[0].end());
  EXPECT_EQ(tail, rest.loss[0]);
}

}  // namespace
}  // namespace preimage::dcm
