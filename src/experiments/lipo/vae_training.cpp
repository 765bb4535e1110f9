#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <memory>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "vae.hpp"
#include "vae_step.hpp"

namespace preimage::lipo {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;

// Neighbouring pieces of about equal cost for each member.
Range piece_share(const VaeStep& step, int member, int size) {
  int64_t total = 0, sum = 0;
  for (int64_t p = 0; p < step.pieces(); ++p) total += step.cost(p);
  Range out{step.pieces(), step.pieces()};
  for (int64_t p = 0; p < step.pieces(); ++p) {
    const auto owner = std::min<int64_t>(size - 1, sum * size / total);
    if (owner >= member) out.first = std::min(out.first, p);
    if (owner > member) {
      out.last = p;
      break;
    }
    sum += step.cost(p);
  }
  return out;
}

class Training {
 public:
  Training(const at::Tensor& x, const VaeOptions& options, const base::RandomStream& random);
  VaeFit run();

 private:
  void deal(Team& team, int threads);
  void work(int member, Team& team);
  void epoch_begins();
  void one_step(int member, Team& team, int64_t number);
  void evaluate(int member, Team& team);
  void epoch_ends();
  AdamWStep adamw_step() const;

  const VaeOptions& options_;
  at::Tensor x_;
  base::RandomStream noise_, shuffle_;
  VaeFit fit_;
  VaePlan plan_;
  std::vector<int64_t> training_, held_out_, order_;
  VaeStep step_, check_;
  std::unique_ptr<Blocks> full_batch_, last_batch_, checked_;
  at::Tensor best_weights_;
  std::vector<double> cosines_;
  VaeEpoch epoch_;
  double best_ = std::numeric_limits<double>::infinity(), lr_ = 0;
  float beta_ = 0;
  int64_t stale_ = 0, steps_ = 0, held_out_batch_;
  bool over_ = false;
};

base::RandomStream derived(const base::RandomStream& random, uint64_t number, const char* purpose) {
  const uint64_t element = (uint64_t{1} << 42) + 2 * number;
  return {uint64_t{random.bits(element)} << 32 | random.bits(element + 1), "vae", purpose};
}

std::vector<int64_t> held_out_rows(int64_t count, const VaeOptions& options,
                                   const base::RandomStream& random) {
  if (options.stopping == "plan") return {};
  const auto wanted = static_cast<int64_t>(std::ceil(options.holdout * static_cast<double>(count)));
  auto order = derived(random, 2, "holdout").permutation(count);
  order.resize(static_cast<size_t>(std::min(wanted, count - 1)));
  std::ranges::sort(order);
  return order;
}

Training::Training(const at::Tensor& x, const VaeOptions& options, const base::RandomStream& random)
    : options_(options),
      x_(x.to(at::kFloat).contiguous()),
      noise_(derived(random, 0, "noise")),
      shuffle_(derived(random, 1, "shuffle")),
      fit_{.vae = make_vae(x.size(1), options, random)},
      plan_(vae_plan(x.size(1), options)),
      held_out_(held_out_rows(x.size(0), options, random)),
      step_(plan_, options.batch_size, fit_.vae.parameters.data_ptr<float>()),
      check_(plan_, static_cast<int64_t>(held_out_.size()), fit_.vae.parameters.data_ptr<float>()),
      held_out_batch_(static_cast<int64_t>(held_out_.size())) {
  for (int64_t i = 0; i < x.size(0); ++i)
    if (!std::ranges::binary_search(held_out_, i)) training_.push_back(i);
}

VaeFit Training::run() {
  const int threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  Team team;
#pragma omp parallel num_threads(threads)
  {
    // As many as there are, which may be fewer than were asked for.
#pragma omp single
    deal(team, omp_get_num_threads());
    work(omp_get_thread_num(), team);
  }
  if (best_weights_.defined()) fit_.vae.parameters.copy_(best_weights_);
  return std::move(fit_);
}

void Training::deal(Team& team, int threads) {
  team.set_size(threads);
  const auto last = std::ssize(training_) % options_.batch_size;
  full_batch_ = std::make_unique<Blocks>(step_.blocks(options_.batch_size), threads);
  last_batch_ = std::make_unique<Blocks>(step_.blocks(last), threads);
  checked_ = std::make_unique<Blocks>(check_.blocks(held_out_batch_), threads);
}

void Training::work(int member, Team& team) {
  while (true) {
    if (member == 0) epoch_begins();
    team.wait();
    const int64_t steps =
        (static_cast<int64_t>(order_.size()) + options_.batch_size - 1) / options_.batch_size;
    for (int64_t number = 0; number < steps; ++number) one_step(member, team, number);
    evaluate(member, team);
    if (member == 0) epoch_ends();
    team.wait();
    if (over_) return;
  }
}

void Training::epoch_begins() {
  const int64_t epoch = fit_.epochs;
  lr_ = vae_learning_rate(options_, epoch);
  beta_ = static_cast<float>(vae_beta(options_, epoch));
  epoch_ = {};
  order_ = training_;
  // Fisher-Yates; the epoch's own elements.
  for (size_t i = order_.size(); i > 1; --i)
    std::swap(order_[i - 1],
              order_[shuffle_.below(i, static_cast<uint64_t>(epoch) * order_.size() + i - 1)]);
}

AdamWStep Training::adamw_step() const {
  const auto t = static_cast<double>(steps_);
  const double norm = step_.gradient_norm();
  const double scale =
      options_.grad_clip > 0 ? std::min(1.0, options_.grad_clip / (norm + 1e-6)) : 1;
  return {.scale = static_cast<float>(scale),
          .shrink = static_cast<float>(1 - lr_ * options_.weight_decay),
          .step_size = static_cast<float>(lr_ / (1 - std::pow(kBeta1, t))),
          .root = static_cast<float>(1 / std::sqrt(1 - std::pow(kBeta2, t))),
          .beta1 = static_cast<float>(kBeta1),
          .beta2 = static_cast<float>(kBeta2),
          .epsilon = static_cast<float>(kEpsilon)};
}

void Training::one_step(int member, Team& team, int64_t number) {
  const int64_t first = number * options_.batch_size;
  const int64_t count = std::min(options_.batch_size, static_cast<int64_t>(order_.size()) - first);
  const auto groups = static_cast<uint64_t>((plan_.latent_dim + 3) / 4);
  const VaeStep::Samples samples{
      .x = x_.const_data_ptr<float>(),
      .rows = order_.data() + first,
      .count = count,
      .noise = &noise_,
      .first_noise =
          static_cast<uint64_t>(fit_.epochs * static_cast<int64_t>(order_.size()) + first) * groups,
      .beta = beta_,
      .gradient = true};
  (count == options_.batch_size ? full_batch_ : last_batch_)
      ->run(member, [&](int64_t block, const Part& part) { step_.samples(samples, block, part); });
  team.wait();
  const auto pieces = piece_share(step_, member, team.size());
  for (int64_t p = pieces.first; p < pieces.last; ++p) step_.weight_gradient(p, count);
  if (member == 0) {
    ++steps_;
    for (int64_t i = 0; i < count; ++i) {
      epoch_.reconstruction += 1 - static_cast<double>(step_.cosines()[i]);
      epoch_.kl += static_cast<double>(step_.kl()[i]);
    }
  }
  team.wait();
  const auto adamw = adamw_step();
  for (int64_t p = pieces.first; p < pieces.last; ++p) step_.update(p, adamw);
  team.wait();
}

void Training::evaluate(int member, Team& team) {
  if (held_out_.empty()) return;
  const VaeStep::Samples samples{.x = x_.const_data_ptr<float>(),
                                 .rows = held_out_.data(),
                                 .count = held_out_batch_,
                                 .noise = nullptr,
                                 .first_noise = 0,
                                 .beta = 0,
                                 .gradient = false};
  checked_->run(member,
                [&](int64_t block, const Part& part) { check_.samples(samples, block, part); });
  team.wait();
}

void Training::epoch_ends() {
  const auto rows = static_cast<double>(order_.size());
  epoch_.reconstruction /= rows, epoch_.kl /= rows;
  epoch_.held_out = std::numeric_limits<double>::quiet_NaN();
  if (!held_out_.empty()) {
    epoch_.held_out = 0;
    for (int64_t i = 0; i < held_out_batch_; ++i)
      epoch_.held_out +=
          (1 - static_cast<double>(check_.cosines()[i])) / static_cast<double>(held_out_batch_);
  }
  const bool plan = options_.stopping == "plan";
  const double watched = plan ? epoch_.reconstruction : epoch_.held_out;
  // Reconstruction is best while the KL term weighs little: only what comes after counts.
  if (!plan && fit_.epochs == options_.annealing_epochs)
    best_ = std::numeric_limits<double>::infinity();
  if (watched < best_) {
    best_ = watched, stale_ = 0;
    fit_.best_epoch = fit_.epochs;
    if (!plan) best_weights_ = fit_.vae.parameters.clone();
  } else if (plan || fit_.epochs >= options_.annealing_epochs) {
    fit_.early_stopped = ++stale_ >= options_.patience;
  }
  fit_.history.push_back(epoch_);
  ++fit_.epochs;
  over_ =
      fit_.early_stopped || fit_.epochs >= options_.epochs || !std::isfinite(epoch_.reconstruction);
}

}  // namespace

VaeFit fit_vae(const at::Tensor& x, const VaeOptions& options, const base::RandomStream& random) {
  base::check(x.dim() == 2 && x.size(0) > 1, "an autoencoder is fitted to at least two rows");
  auto out = Training(x, options, random).run();
  if (!std::isfinite(out.history.back().reconstruction))
    throw base::data_error(
        base::str("VAE of ", x.size(0), " rows: the reconstruction of epoch ", out.epochs - 1,
                  " is not finite; expected finite embeddings and a smaller vae_lr"));
  return out;
}

}  // namespace preimage::lipo
