// The autoencoder: its plain form against the reference's counts and schedules, its training step
// against autograd on the plain form.
#include "vae.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "preimage/base/error.hpp"
#include "vae_step.hpp"

namespace preimage::lipo {
namespace {

const base::RandomStream kRandom(5, "unit", "vae");

// Unit rows near a sphere of a few dimensions.
at::Tensor rows(int64_t count, int64_t width, int64_t rank) {
  auto basis = at::empty({rank, width}, at::kFloat), weights = at::empty({count, rank}, at::kFloat);
  const base::RandomStream random(9, "unit", "rows");
  uint64_t at = 0;
  for (auto* tensor : {&basis, &weights})
    for (int64_t i = 0; i < tensor->numel(); ++i)
      tensor->data_ptr<float>()[i] = static_cast<float>(random.normal(at++));
  const auto x = at::mm(weights, basis);
  return x / x.norm(2, {1}, true);
}

VaeOptions small() {
  VaeOptions o;
  o.latent_dim = 5, o.encoder_dims = {12, 9}, o.decoder_dims = {9, 20};
  o.annealing_epochs = 10, o.epochs = 40, o.patience = 500, o.batch_size = 20, o.lr = 3e-3;
  return o;
}

TEST(Vae, ParametersOfThePlan) {
  const auto vae = make_vae(768, {}, kRandom);
  EXPECT_EQ(vae.parameters.numel(), 274624);
  int64_t encoder = 0;
  for (const auto& l : vae.encoder)
    encoder += l.weight.numel() + l.bias.numel() + (l.scale.defined() ? 2 * l.scale.numel() : 0);
  EXPECT_EQ(encoder, 55712);
  const auto e = vae_decode(vae, at::ones({3, 64}));
  EXPECT_TRUE(e.norm(2, {1}).allclose(at::ones({3})));
  EXPECT_THROW(vae_from(768, {}, at::zeros({5})), base::Error);
}

TEST(Vae, SchedulesOfTheReference) {
  const VaeOptions o;
  EXPECT_NEAR(vae_learning_rate(o, 0), 3e-4, 1e-18);
  EXPECT_NEAR(vae_learning_rate(o, 500), 2.99691733373e-4, 1e-15);
  EXPECT_NEAR(vae_learning_rate(o, 5000), 2.70710678119e-4, 1e-15);
  EXPECT_NEAR(vae_learning_rate(o, 9999), 2.00015707963e-4, 1e-15);
  EXPECT_NEAR(vae_learning_rate(o, 10000), 2e-4, 1e-18);
  EXPECT_EQ(vae_beta(o, 0), 0);
  EXPECT_NEAR(vae_beta(o, 1), 6e-6, 1e-20);
  EXPECT_NEAR(vae_beta(o, 250), .0015, 1e-18);
  EXPECT_NEAR(vae_beta(o, 499), .002994, 1e-18);
  EXPECT_EQ(vae_beta(o, 500), .003);
}

TEST(Vae, KlOfTheReference) {
  const auto kl = [](std::vector<float> mean, std::vector<float> log) {
    const auto n = static_cast<int64_t>(mean.size());
    std::vector<float> in(2 * n * kSampleTile), z(n * kSampleTile), bias(2 * n), out(kSampleTile);
    for (int64_t i = 0; i < n; ++i) {
      in[i * kSampleTile] = mean[i];
      in[(n + i) * kSampleTile] = log[i];
    }
    cpu_kernels().latent({bias.data(), in.data(), nullptr, z.data(), out.data(), n, kSampleTile});
    EXPECT_EQ(z[0], mean[0]);
    return out[0];
  };
  EXPECT_NEAR(kl({.5, -1}, {-.3, .1}), .647995, 1e-6);
  EXPECT_NEAR(kl({0, .2}, {0, -1}), .203940, 1e-6);
}

TEST(Vae, StepsGradientIsAutograds) {
  const auto o = small();
  const auto x = rows(23, 37, 6);
  auto vae = make_vae(37, o, kRandom);
  VaeStep step(vae_plan(37, o), 23, vae.parameters.data_ptr<float>());
  std::vector<int64_t> order(23);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t block = 0; block < step.blocks(23); ++block)
    step.samples({x.const_data_ptr<float>(), order.data(), 23, &kRandom, 77, 0.3f, true}, block);
  for (int64_t p = 0; p < step.pieces(); ++p) step.weight_gradient(p, 23);

  const auto leaf = vae.parameters.clone().requires_grad_();
  const auto plain = vae_from(37, o, leaf);
  const auto posterior = vae_encode(plain, x);
  const auto std = (posterior.log_variance / 2).exp();
  // The noise that the step drew, from where it came to stand.
  const auto z =
      at::from_blob(const_cast<float*>(step.z()), {5, step.columns()}).t().slice(0, 0, 23);
  const auto noise = ((z - posterior.mean) / std).detach();
  EXPECT_NEAR(noise.mean().item<float>(), 0, 0.4);
  EXPECT_NEAR(noise.std().item<float>(), 1, 0.3);
  const auto y = vae_decode(plain, posterior.mean + std * noise);
  const auto cosine = at::cosine_similarity(x, y, 1);
  const auto kl =
      (0.5 * (posterior.mean.square() + posterior.log_variance.exp() - 1 - posterior.log_variance))
          .sum(1);
  ((1 - cosine).mean() + 0.3 * kl.mean()).backward();
  for (int64_t i = 0; i < 23; ++i) {
    EXPECT_NEAR(step.cosines()[i], cosine[i].item<float>(), 1e-5);
    EXPECT_NEAR(step.kl()[i], kl[i].item<float>(), 1e-5);
  }
  const auto found = at::from_blob(const_cast<float*>(step.gradient()), {leaf.numel()});
  const auto largest = leaf.grad().abs().max().item<float>();
  EXPECT_LT((found - leaf.grad()).abs().max().item<float>(), 2e-6f * std::max(1.0f, largest));
  EXPECT_NEAR(step.gradient_norm(), leaf.grad().norm().item<double>(), 1e-5 * step.gradient_norm());

  // One update, as torch.optim.AdamW makes it: m / (sqrt(v) + eps) is the gradient's sign at first.
  const auto before = vae.parameters.clone();
  const double scale = 0.5, lr = 0.01, decay = 0.1;
  for (int64_t p = 0; p < step.pieces(); ++p)
    step.update(p, {.scale = static_cast<float>(scale),
                    .shrink = static_cast<float>(1 - lr * decay),
                    .step_size = static_cast<float>(lr / (1 - 0.9)),
                    .root = static_cast<float>(1 / std::sqrt(1 - 0.999)),
                    .beta1 = 0.9f,
                    .beta2 = 0.999f,
                    .epsilon = 1e-8f});
  const auto g = leaf.grad() * scale;
  const auto expected = before * (1 - lr * decay) - lr * g / (g.abs() + 1e-8);
  const auto wrong = ((vae.parameters - expected).abs() > 2e-4) & (g.abs() > 1e-5);
  EXPECT_EQ(wrong.sum().item<int64_t>(), 0);
}

TEST(Vae, KernelsGiveTheSameBits) {
  std::vector<float> a(40 * 29), b(29 * 43), reference;
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(std::sin(static_cast<double>(i)));
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(std::cos(static_cast<double>(i)));
  for (const auto* const* table = all_cpu_kernels(); *table; ++table) {
    std::vector<float> c(40 * 43);
    (*table)->product({a.data(), 29, 1, b.data(), 43, c.data(), 43, 40, 43, 29});
    if (reference.empty()) {
      reference = c;
      for (int64_t r = 0; r < 40; ++r) {
        double sum = 0;
        for (int64_t k = 0; k < 29; ++k) sum += static_cast<double>(a[r * 29 + k]) * b[k * 43 + 42];
        EXPECT_NEAR(c[r * 43 + 42], sum, 1e-5);
      }
    }
    EXPECT_EQ(c, reference) << (*table)->name;
  }
}

TEST(Vae, TrainingLearnsAndThreadsDoNotShow) {
  const auto x = rows(90, 37, 4);
  const auto o = small();
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = fit_vae(x, o, kRandom);
  // With many threads several share a block of samples.
  for (const int more : {3, 11}) {
    at::set_num_threads(more);
    EXPECT_TRUE(one.vae.parameters.equal(fit_vae(x, o, kRandom).vae.parameters)) << more;
  }
  at::set_num_threads(threads);
  ASSERT_EQ(one.history.size(), 40u);
  EXPECT_EQ(one.epochs, 40);
  EXPECT_LT(one.history.back().held_out, 0.5 * one.history.front().held_out);
  EXPECT_GE(one.best_epoch, o.annealing_epochs);
  // The kept weights are those of the best epoch.
  const auto other = fit_vae(x, o, base::RandomStream(6, "unit", "vae"));
  EXPECT_FALSE(other.vae.parameters.equal(one.vae.parameters));
}

TEST(Vae, StopsOnHeldOutRowsAfterTheAnnealingOrAsThePlan) {
  const auto x = rows(60, 37, 4);
  auto o = small();
  o.patience = 3, o.epochs = 300, o.annealing_epochs = 50, o.beta = 1;
  const auto corrected = fit_vae(x, o, kRandom);
  EXPECT_TRUE(corrected.early_stopped);
  EXPECT_GE(corrected.epochs, 53);
  EXPECT_EQ(corrected.best_epoch, corrected.epochs - 4);
  o.stopping = "plan";
  const auto plan = fit_vae(x, o, kRandom);
  EXPECT_TRUE(plan.early_stopped);
  EXPECT_LT(plan.epochs, 53);  // the rising KL term ends it
  EXPECT_TRUE(std::isnan(plan.history[0].held_out));
  EXPECT_EQ(VaeOptions{.holdout = 0}.check("lipo.").size(), 1u);
}

TEST(Vae, QualityOfACollapsedPosterior) {
  const auto x = rows(50, 37, 4);
  auto o = small();
  auto vae = make_vae(37, o, kRandom);
  // Every mean 0, every variance 1: sampled z vary, the means do not.
  vae.encoder.back().weight.zero_(), vae.encoder.back().bias.zero_();
  const auto collapsed = vae_quality(vae, x, kRandom);
  EXPECT_EQ(collapsed.active_units, 0);
  EXPECT_NEAR(collapsed.kl_mean, 0, 1e-9);
  EXPECT_NE(collapsed.sampled_mean, collapsed.cosine_mean);
  const auto fitted = fit_vae(x, o, kRandom);
  const auto quality = vae_quality(fitted.vae, x, kRandom);
  EXPECT_GT(quality.active_units, 0);
  EXPECT_GT(quality.effective_rank, 1);
  EXPECT_LE(quality.effective_rank, 5);
  EXPECT_GT(quality.cosine_mean, quality.sampled_mean);
}

TEST(Vae, RefusesNumbersThatAreNotFinite) {
  auto x = rows(30, 37, 4);
  x[3][2] = NAN;
  EXPECT_THROW(fit_vae(x, small(), kRandom), base::Error);
}

}  // namespace
}  // namespace preimage::lipo
