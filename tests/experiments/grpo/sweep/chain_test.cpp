// ranks: 1
// Runs of the sweep on a tiny model and a reward that needs no sandbox.
#include "sweep/chain.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "folder.hpp"
#include "measure/nulls.hpp"
#include "preimage/base/budget.hpp"
#include "preimage/nn/attention.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "ranked_main.hpp"
#include "toy_source.hpp"

namespace preimage::grpo {
namespace {

const auto kModel = std::filesystem::path(PREIMAGE_TEST_DATA) / "lm/fixtures/qwen2_text";

struct Setting {
  std::shared_ptr<const lm::Model> base = lm::load_model(kModel, {});
  text::Tokenizer tokenizer = text::load_tokenizer(kModel);
  lm::LiveAdapter adapter =
      lm::make_adapter(*base, {.rank = 4, .train_a = false, .targets = {"o_proj", "up_proj"}}, 1);
  SweepDirections directions = drawn_directions();
  ToySource source;

  // One axis in each module.
  SweepDirections drawn_directions() const {
    SweepDirections out;
    for (auto* kind : {&out.hack, &out.random}) {
      for (const auto& m : adapter.modules) {
        const base::RandomStream random(kind == &out.hack ? 1 : 2, m.name, "test");
        ModuleDirections d{.span = {m.name, "", m.first, m.count}, .k = 1};
        double squares = 0;
        for (int64_t i = 0; i < m.count; ++i) {
          d.v.push_back(random.normal(static_cast<uint64_t>(i)));
          squares += d.v.back() * d.v.back();
        }
        for (auto& v : d.v) v /= std::sqrt(squares);
        d.mean = d.v, d.singular = {1}, d.votes = {1};
        kind->modules.push_back(std::move(d));
      }
    }
    return out;
  }

  SweepParts parts() {
    return {
        *base, adapter, directions, source, {.batch = 16, .longest = 40, .tokenizer = &tokenizer},
        {2}};
  }
};

SweepChainOptions options(SweepArm arm, int64_t steps) {
  SweepChainOptions out{.arm = arm, .seed = 3, .sweep = {}};
  auto& s = out.sweep;
  s.steps = steps, s.prompts = 2, s.group = 6, s.max_new_tokens = 8, s.temperature = 1, s.top_p = 1;
  s.schedule = {.kind = "constant", .lr = 0.03};
  s.adam.weight_decay = 0;
  s.evaluate_every = 2, s.evaluate_samples = 2, s.checkpoint_interval_s = 0, s.hopeless_step = 0;
  return out;
}

SweepResult run(Setting& setting, const SweepChainOptions& o, SweepPlace place) {
  return run_sweep_chain(setting.parts(), o, place);
}

std::vector<StepNumbers> numbers(const SweepResult& result) {
  std::vector<StepNumbers> out;
  for (const auto& point : result.curve) out.push_back(StepNumbers::unpacked(point.numbers));
  return out;
}

TEST(SweepChain, VanillaLearnsTheReward) {
  Setting setting;
  auto o = options(SweepArm::vanilla, 80);
  o.sweep.prompts = 5, o.sweep.group = 12, o.sweep.evaluate_every = 10;
  const auto result = run(setting, o, {.worker = tests::world()});
  ASSERT_TRUE(result.finished);
  const auto n = numbers(result);
  const auto mean = [&](size_t from) {
    double sum = 0;
    for (size_t i = from; i < from + 4; ++i) sum += n[i].rollout.reward / 4;
    return sum;
  };
  EXPECT_GT(mean(76), mean(0) + 0.5);
  EXPECT_GT(n[79].kl, 0);
  EXPECT_FALSE(std::isnan(n[10].hinted_before.reward));
  EXPECT_TRUE(std::isnan(n[3].hinted_before.reward));
  EXPECT_FALSE(std::isnan(n[79].plain_after.reward));
  EXPECT_GT(result.knobs.abs().max().item<float>(), 0);
}

// Arms of one seed begin with the same samples; what is taken out shows in the update.
TEST(SweepChain, ArmsAreMatchedAndProjected) {
  Setting setting;
  const auto first = [&](SweepArm arm) {
    return numbers(run(setting, options(arm, 2), {.worker = tests::world()}));
  };
  const auto vanilla = first(SweepArm::vanilla);
  EXPECT_TRUE(std::isnan(vanilla[0].cos_out));
  for (const SweepArm arm :
       {SweepArm::projected, SweepArm::random, SweepArm::projected_update,
        SweepArm::projected_moments, SweepArm::projected_sgd, SweepArm::advantage}) {
    SCOPED_TRACE(sweep_arm_name(arm));
    const auto n = first(arm);
    EXPECT_EQ(n[0].rollout.reward, vanilla[0].rollout.reward);
    if (arm != SweepArm::advantage) {
      EXPECT_EQ(n[0].cos_in, vanilla[0].cos_in);
    }
    if (projects(arm)) {
      EXPECT_LT(n[0].cos_out, 1e-6);
    }
    if (arm == SweepArm::projected_update || arm == SweepArm::projected_sgd) {
      EXPECT_LT(n[1].leak, 1e-4);
    }
  }
  EXPECT_GT(first(SweepArm::projected)[0].leak, 1e-3);  // Adam's division leaks
}

TEST(SweepChain, StoppedItResumesToTheSameBits) {
  Setting setting;
  const auto o = options(SweepArm::projected_moments, 5);
  const auto whole = run(setting, o, {.worker = tests::world()});
  const tests::Folder folder;
  const auto state = folder / "state.safetensors";
  int64_t steps = 0;
  SweepResult stopped;
  for (int turn = 0; turn < 3 && !stopped.finished; ++turn) {
    // Stops within a step: what was begun is made again.
    stopped = run(setting, o,
                  {.worker = tests::world(),
                   .state = state,
                   .report = [&](const lm::CurvePoint&) { ++steps; },
                   .stopping = [&, from = steps] { return turn < 2 && steps >= from + 2; }});
  }
  ASSERT_TRUE(stopped.finished);
  EXPECT_TRUE(at::equal(stopped.knobs, whole.knobs));
  ASSERT_EQ(stopped.curve.size(), whole.curve.size());
  for (size_t i = 0; i < whole.curve.size(); ++i) {
    for (size_t k = 0; k < whole.curve[i].numbers.size(); ++k) {
      const double a = stopped.curve[i].numbers[k], b = whole.curve[i].numbers[k];
      EXPECT_TRUE(a == b || (std::isnan(a) && std::isnan(b))) << i << " " << k;
    }
  }
}

TEST(SweepChain, AVanillaRunThatDoesNotHackEnds) {
  Setting setting;
  auto o = options(SweepArm::vanilla, 8);
  o.sweep.hopeless_step = 5, o.sweep.hopeless_rate = 1.01, o.sweep.evaluate_samples = 0;
  const auto result = run(setting, o, {.worker = tests::world()});
  EXPECT_TRUE(result.finished && result.hopeless);
  EXPECT_EQ(result.curve.size(), 5u);
  o.sweep.hopeless_rate = 0;
  EXPECT_EQ(run(setting, o, {.worker = tests::world()}).curve.size(), 8u);
}

// The gradient of a whole step by autograd: policy terms and K3, one loss.
TEST(Update, GradientOfTheWholeLoss) {
  Setting setting;
  auto& adapter = setting.adapter;
  auto noise = at::empty_like(adapter.parameters.flat);
  lm::fill_normal(noise, base::RandomStream(3, "knobs", "test"), 0.05);
  adapter.parameters.flat.add_(noise);
  std::vector<SampleGroup> groups(2);
  for (int64_t g = 0; g < 2; ++g) {
    groups[static_cast<size_t>(g)].prompt = setting.source.prompt(false, g, true);
    for (int64_t i = 0; i < 3; ++i) {
      Sample sample;
      for (int64_t t = 0; t < 3 + 2 * i; ++t)
        sample.completion.push_back(10 + (t * 7 + i + g) % 60);
      sample.grade.reward = static_cast<double>(i * i) - static_cast<double>(g);
      groups[static_cast<size_t>(g)].samples.push_back(std::move(sample));
    }
  }
  for (const auto denominator : {Denominator::plan, Denominator::dr_grpo, Denominator::classic}) {
    // By autograd.
    const auto leaves = lm::make_leaves(adapter.parameters, adapter.tensors, at::kFloat);
    const auto model = lm::with_adapter(*setting.base, adapter, &leaves);
    const auto logp = [&](const lm::Model& of, const SampleGroup& group, const Sample& sample) {
      auto ids = group.prompt;
      ids.insert(ids.end(), sample.completion.begin(), sample.completion.end());
      const auto all = at::tensor(ids, at::kLong);
      const auto rows = all.size(0) - 1;
      const nn::PackedAttention context(nn::make_packing({rows}, at::kCPU));
      const auto hidden = of.hidden(of.embed(all.narrow(0, 0, rows)), context);
      return at::log_softmax(nn::linear(hidden, of.head()), 1)
          .gather(1, all.narrow(0, 1, rows).unsqueeze(1))
          .squeeze(1)
          .narrow(0, std::ssize(group.prompt) - 1, std::ssize(sample.completion));
    };
    at::Tensor loss = at::zeros({});
    const double kl = 0.3, max_new = 8;
    for (const auto& group : groups) {
      std::vector<double> rewards;
      for (const auto& sample : group.samples) rewards.push_back(sample.grade.reward);
      const auto r = at::tensor(rewards, at::kFloat);
      auto a = r - r.mean();
      if (denominator == Denominator::classic) a = a / (r.std() + 1e-8);
      for (int64_t i = 0; i < 3; ++i) {
        const auto& sample = group.samples[static_cast<size_t>(i)];
        const auto lp = logp(*model, group, sample);
        const auto d = logp(*setting.base, group, sample).detach() - lp;
        const double length =
            denominator == Denominator::dr_grpo ? max_new : static_cast<double>(lp.size(0));
        loss = loss + (-(a[i] * lp) + kl * (d.exp() - d - 1)).sum() / (length * 3 * 2);
      }
    }
    std::vector<at::Tensor> flat;
    for (const auto& g : torch::autograd::grad({loss}, leaves.in_order))
      flat.push_back(g.flatten());
    const auto theirs = at::cat(flat);
    // SGD of one step without momentum shows our gradient.
    lm::LiveAdapter copy = adapter;
    copy.parameters = lm::make_parameters(adapter.tensors, at::kCPU);
    copy.parameters.flat.copy_(adapter.parameters.flat);
    optim::AdamWState state{at::zeros_like(theirs), at::zeros_like(theirs), 0};
    SweepDirections none;
    update({*setting.base, copy, state}, groups, none,
           {.arm = SweepArm::projected_sgd,
            .denominator = denominator,
            .max_new_tokens = 8,
            .kl = kl,
            .learning_rate = 1,
            .sgd_momentum = 0,
            .adam = {.clip = 0}});
    const auto ours = adapter.parameters.flat - copy.parameters.flat;
    EXPECT_LT(((ours - theirs).norm() / theirs.norm()).item<double>(), 1e-4);
  }
}

}  // namespace
}  // namespace preimage::grpo
