#include "sweep/update.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/cluster/tensor_reduce.hpp"
#include "preimage/lm/adapter/sample_gradients.hpp"

namespace preimage::grpo {
namespace {

std::span<float> values_of(at::Tensor& cpu) {
  return {cpu.data_ptr<float>(), static_cast<size_t>(cpu.numel())};
}

struct Contribution {
  double loss = 0, kl = 0, tokens = 0, flat = 0;
};

// In the order of the groups, whoever has computed them.
std::vector<Contribution> of_all_ranks(const cluster::Communicator& ranks,
                                       const std::vector<Contribution>& own) {
  std::vector<Contribution> out;
  const std::string bytes(reinterpret_cast<const char*>(own.data()),
                          own.size() * sizeof(Contribution));
  for (const auto& part : ranks.all_gather(bytes)) {
    const size_t first = out.size();
    out.resize(first + part.size() / sizeof(Contribution));
    std::memcpy(out.data() + first, part.data(), part.size());
  }
  return out;
}

class GroupUpdate {
 public:
  GroupUpdate(const Policy& policy, const SampleGroup& group, const UpdateOptions& options)
      : policy_(policy), group_(group), options_(options) {
    for (const auto& sample : group.samples) {
      rewards_.push_back(sample.grade.reward);
      lengths_.push_back(std::ssize(sample.completion));
    }
    advantages_ = make_group(rewards_);
  }

  bool flat() const { return advantages_.flat(); }

  // Adds this group's gradient, divided by `groups`, to `sum` [n].
  Contribution add(const SweepDirections& directions, double groups, at::Tensor& sum) {
    if (options_.arm == SweepArm::advantage) penalise(directions.hack);
    const auto weights =
        loss_weights(advantages_, lengths_, options_.denominator, options_.max_new_tokens);
    std::vector<lm::WeightedSample> samples;
    for (size_t i = 0; i < group_.samples.size(); ++i)
      samples.push_back(weighted(i, weights[i] / groups));
    Contribution out;
    lm::SampleGradientOptions passes{.batch_tokens = options_.batch_tokens, .reweigh = {}};
    std::vector<std::vector<float>> reference;
    if (options_.kl > 0) {
      const auto all = mean_samples();
      reference = lm::sample_logp(policy_.base, all, options_.batch_tokens);
      // K3 needs every token of the completion, also under an advantage of zero.
      for (size_t i = 0; i < all.size(); ++i) samples[i].weights = all[i].weights;
      passes.reweigh = [&](size_t i, std::span<const float> logp, std::vector<float>& w) {
        w = with_k3(i, weights[i] / groups, groups, {logp, reference[i]}, out);
      };
    }
    const auto result = lm::sample_gradients(policy_.base, policy_.adapter, samples, passes);
    for (int64_t i = 0; i < result.gradients.size(0); ++i) sum.add_(result.gradients[i]);
    for (size_t i = 0; i < samples.size(); ++i) {
      out.tokens += static_cast<double>(lengths_[i]);
      if (weights[i] == 0) continue;
      double nll = 0;
      const auto& logp = result.logp[i];
      for (size_t t = group_.prompt.size() - 1; t < logp.size(); ++t) nll -= logp[t];
      out.loss += weights[i] / groups * nll / static_cast<double>(lengths_[i]);
    }
    return out;
  }

 private:
  std::vector<int64_t> ids_of(size_t i) const {
    auto ids = group_.prompt;
    const auto& completion = group_.samples[i].completion;
    ids.insert(ids.end(), completion.begin(), completion.end());
    return ids;
  }

  std::vector<lm::WeightedSample> mean_samples() const {
    std::vector<lm::WeightedSample> samples;
    for (size_t i = 0; i < group_.samples.size(); ++i)
      samples.push_back(lm::mean_sample(ids_of(i), std::ssize(group_.prompt)));
    return samples;
  }

  // Advantages less the likeness of each sample to the hack: the cosine of its own loss gradient
  // with the mean contrast, where it is positive. In the manner of advantage modification (Wu and
  // Tang 2026, arXiv 2604.01476), whose score is of hidden states instead.
  void penalise(const Directions& hack) {
    const auto result =
        lm::sample_gradients(policy_.base, policy_.adapter, mean_samples(),
                             {.batch_tokens = options_.batch_tokens, .reweigh = {}});
    auto gradients = result.gradients.cpu().contiguous();
    for (size_t i = 0; i < group_.samples.size(); ++i) {
      auto row = gradients[static_cast<int64_t>(i)];
      const double score = align(values_of(row), hack).cos_sgn_global;
      if (score > 0) advantages_.advantages[i] -= options_.advantage_penalty * score;
    }
  }

  // Weights of -log p of each token: `weight` shared out over the completion.
  lm::WeightedSample weighted(size_t i, double weight) const {
    lm::WeightedSample sample{.ids = ids_of(i), .weights = {}};
    sample.weights.assign(sample.ids.size(), 0);
    std::fill(sample.weights.begin() + std::ssize(group_.prompt), sample.weights.end(),
              static_cast<float>(weight / static_cast<double>(lengths_[i])));
    return sample;
  }

  // Log-probabilities of a sample's tokens 1.. under the policy and under the reference.
  struct Logp {
    std::span<const float> policy, reference;
  };

  // Those weights and what K3 adds: d/dlp of c (e^(ref - lp) - (ref - lp) - 1) is
  // c (1 - e^(ref - lp)).
  std::vector<float> with_k3(size_t i, double weight, double groups, const Logp& logp,
                             Contribution& out) const {
    const auto length = static_cast<double>(lengths_[i]);
    const auto size = static_cast<double>(lengths_.size());
    const double shared = options_.denominator == Denominator::dr_grpo
                              ? static_cast<double>(options_.max_new_tokens)
                              : length;
    const double of_kl = options_.kl / (size * shared * groups);
    const size_t first = group_.prompt.size();
    std::vector<float> weights(first + static_cast<size_t>(lengths_[i]));
    for (size_t t = first; t < weights.size(); ++t) {
      const double d =
          static_cast<double>(logp.reference[t - 1]) - static_cast<double>(logp.policy[t - 1]);
      weights[t] = static_cast<float>(weight / length + of_kl * (std::exp(d) - 1));
      out.kl += k3(d);
    }
    return weights;
  }

  const Policy& policy_;
  const SampleGroup& group_;
  const UpdateOptions& options_;
  std::vector<double> rewards_;
  std::vector<int64_t> lengths_;
  Group advantages_;
};

// Takes the part along the directions out of a tensor [n], wherever it lies.
Projected project_tensor(at::Tensor& values, const Directions& directions,
                         const ProjectionOptions& options) {
  auto cpu = values.to(at::kCPU).contiguous();
  const auto result = project(values_of(cpu), directions, options);
  if (!cpu.is_same(values)) values.copy_(cpu);
  return result;
}

// Heavy-ball momentum: m = mu m + g, s -= lr m, g clipped. Linear in g, so an update lies in the
// span of projected gradients.
void sgd_step(const Policy& policy, const at::Tensor& gradient, const UpdateOptions& options) {
  const double norm = optim::fixed_order_norm(gradient);
  const double clip = options.adam.clip;
  const double scale = clip > 0 ? std::min(1.0, clip / (norm + 1e-6)) : 1.0;
  policy.adam.first.mul_(options.sgd_momentum).add_(gradient, scale);
  policy.adapter.parameters.flat.sub_(policy.adam.first, options.learning_rate);
  ++policy.adam.steps;
}

// What the optimiser adds to the parameters beside the decay.
at::Tensor own_update(const at::Tensor& before, const lm::Parameters& parameters, double decay) {
  return parameters.flat - before + before * parameters.decay_mask * decay;
}

double step(const Policy& policy, at::Tensor& gradient, const SweepDirections& directions,
            const UpdateOptions& options) {
  auto& parameters = policy.adapter.parameters;
  if (options.arm == SweepArm::projected_sgd) {
    sgd_step(policy, gradient, options);
    return 0;
  }
  if (options.arm == SweepArm::projected_moments)
    project_tensor(policy.adam.first, directions.hack, options.projection);
  const auto before = parameters.flat.clone();
  optim::adamw_step(parameters.flat, gradient, parameters.decay_mask, policy.adam,
                    options.learning_rate, options.adam);
  const double decay = options.learning_rate * options.adam.weight_decay;
  if (options.arm != SweepArm::projected_update) return decay;
  auto descent = -own_update(before, parameters, decay);
  project_tensor(descent, directions.hack, options.projection);
  parameters.flat.copy_(before - before * parameters.decay_mask * decay - descent);
  return decay;
}

Alignment leak_of(const at::Tensor& before, const lm::Parameters& parameters, double decay,
                  const Directions& hack) {
  auto descent = (-own_update(before, parameters, decay)).to(at::kCPU).contiguous();
  return align(values_of(descent), hack);
}

}  // namespace

UpdateResult update(const Policy& policy, const std::vector<SampleGroup>& groups,
                    const SweepDirections& directions, const UpdateOptions& options) {
  const at::AutoGradMode autograd(true);
  auto& parameters = policy.adapter.parameters;
  UpdateResult out;
  cluster::TreeSum sum(policy.ranks, std::ssize(groups));
  std::vector<Contribution> own;
  for (auto g = sum.owned().begin; g < sum.owned().end; ++g) {
    auto gradient = at::zeros_like(parameters.flat);
    GroupUpdate one(policy, groups[static_cast<size_t>(g)], options);
    own.push_back(one.flat() ? Contribution{.flat = 1}
                             : one.add(directions, static_cast<double>(groups.size()), gradient));
    sum.add(g, std::move(gradient));
  }
  const at::NoGradGuard no_grad;
  auto total = sum.finish(parameters.flat);
  double tokens = 0;
  for (const auto& added : of_all_ranks(policy.ranks, own)) {
    out.loss += added.loss, out.kl += added.kl, tokens += added.tokens;
    out.flat_groups += static_cast<int64_t>(added.flat);
  }
  out.kl =
      tokens > 0 && options.kl > 0 ? out.kl / tokens : std::numeric_limits<double>::quiet_NaN();
  out.cos_out = std::numeric_limits<double>::quiet_NaN();
  out.gradient_norm = optim::fixed_order_norm(total);
  auto cpu = total.to(at::kCPU).contiguous();
  out.before = align(values_of(cpu), directions.hack);
  out.random = align(values_of(cpu), directions.random);
  if (projects(options.arm)) {
    const auto& taken = options.arm == SweepArm::random ? directions.random : directions.hack;
    out.cos_out = project_tensor(total, taken, options.projection).after.cos_in;
  }
  const auto before = parameters.flat.clone();
  const double decay = step(policy, total, directions, options);
  out.leak = leak_of(before, parameters, decay, directions.hack);
  return out;
}

}  // namespace preimage::grpo
