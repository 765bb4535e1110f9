// Direct preference optimisation of pocket-coder with an adapter: each step's loss and gradient are
// those of autograd through dpo_loss.
#include "rl/preference.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "preimage/nn/attention.hpp"
#include "preimage/nn/layers.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "rl/losses.hpp"

namespace preimage::ips {
namespace {

using Ids = std::vector<int64_t>;
const std::string folder = std::string(PREIMAGE_SOURCE_DIR) + "/jobs/models/pocket-coder";

class Preference : public testing::Test {
 protected:
  Ids ids(const std::string& text) const { return tokenizer_.encode(text); }
  // log p of an answer, differentiable in the leaves.
  at::Tensor log_prob(const lm::Model& model, const Ids& answer) const {
    auto all = prompt_;
    all.insert(all.end(), answer.begin(), answer.end());
    const Ids inputs(all.begin(), all.end() - 1), targets(all.begin() + 1, all.end());
    const nn::PackedAttention context(nn::make_packing({std::ssize(inputs)}, at::kCPU));
    const auto hidden = model.hidden(model.embed(at::tensor(inputs, at::kLong)), context);
    const auto logp = at::log_softmax(nn::linear(hidden, model.head()), 1)
                          .gather(1, at::tensor(targets, at::kLong).unsqueeze(1))
                          .squeeze(1);
    return logp.narrow(0, std::ssize(prompt_) - 1, std::ssize(answer)).sum();
  }
  // The loss of the pairs at an adapter, and its gradient's norm, by autograd.
  std::pair<double, double> by_autograd(const lm::LiveAdapter& adapter) const {
    const auto leaves = lm::make_leaves(adapter.parameters, adapter.tensors, at::kFloat);
    const auto tuned = lm::with_adapter(*model_, adapter, &leaves);
    std::vector<at::Tensor> now, before;
    for (const auto& pair : pairs_) {
      for (const auto& answer : {pair.chosen, pair.rejected}) {
        now.push_back(log_prob(*tuned, answer));
        before.push_back(log_prob(*model_, answer).detach());
      }
    }
    const auto ours = at::stack(now).view({-1, 2}), frozen = at::stack(before).view({-1, 2});
    const auto loss =
        dpo_loss({ours.select(1, 0), frozen.select(1, 0), ours.select(1, 1), frozen.select(1, 1)},
                 options_.beta);
    double square = 0;
    for (const auto& g : torch::autograd::grad({loss}, leaves.in_order))
      square += g.square().sum().item<double>();
    return {loss.item<double>(), std::sqrt(square)};
  }

  std::shared_ptr<const lm::Model> model_ = lm::load_model(folder, {});
  text::Tokenizer tokenizer_ = text::load_tokenizer(folder);
  Ids prompt_ = ids("def f(xs):\n    return sum(xs)\nWhat does it do?\n\n");
  std::vector<PreferencePair> pairs_ = {
      {ids("sum of a list\n"), ids("largest element of the list\n")},
      {ids("add up all numbers\n"), ids("hello\n")}};
  PreferenceOptions options_{.beta = 0.5, .learning_rate = 2e-3};
};

TEST_F(Preference, EachStepIsAutograds) {
  options_.epochs = 3;
  const auto all = train_preferences(*model_, prompt_, pairs_, options_, 7);
  ASSERT_EQ(all.losses.size(), 3u);
  EXPECT_NEAR(all.losses[0], std::log(2.0), 1e-6);  // nothing is preferred yet
  for (int64_t done = 0; done < 3; ++done) {
    // The adapter before the step: what `done` steps leave.
    options_.epochs = done;
    const auto before = train_preferences(*model_, prompt_, pairs_, options_, 7);
    const auto [loss, norm] = by_autograd(before.adapter);
    EXPECT_NEAR(all.losses[static_cast<size_t>(done)], loss, 1e-4) << done;
    EXPECT_NEAR(all.gradient_norms[static_cast<size_t>(done)] / norm, 1, 1e-3) << done;
  }
}

TEST_F(Preference, LearnsWhatIsChosen) {
  options_.epochs = 8;
  const auto trained = train_preferences(*model_, prompt_, pairs_, options_, 7);
  EXPECT_LT(trained.losses.back(), 0.3);
  for (size_t i = 1; i < trained.losses.size(); ++i)
    EXPECT_LT(trained.losses[i], trained.losses[i - 1]);
  const auto tuned = lm::with_adapter(*model_, trained.adapter);
  for (const auto& pair : pairs_) {
    const auto gain = [&](const Ids& answer) {
      return (log_prob(*tuned, answer) - log_prob(*model_, answer)).item<double>();
    };
    EXPECT_GT(gain(pair.chosen), gain(pair.rejected));
  }
}

TEST_F(Preference, TheSameBitsForASeed) {
  options_.epochs = 2;
  const auto a = train_preferences(*model_, prompt_, pairs_, options_, 7);
  options_.batch_tokens = 40;
  const auto b = train_preferences(*model_, prompt_, pairs_, options_, 7);
  const auto other = train_preferences(*model_, prompt_, pairs_, options_, 8);
  EXPECT_TRUE(at::equal(a.adapter.parameters.flat, b.adapter.parameters.flat));
  EXPECT_FALSE(at::equal(a.adapter.parameters.flat, other.adapter.parameters.flat));
}

}  // namespace
}  // namespace preimage::ips
