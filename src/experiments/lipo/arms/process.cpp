#include "process.hpp"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "../report/rows.hpp"

namespace preimage::lipo {
namespace {

// Variance of an observed share of wrong answers; at 0 and 1 that of half an answer.
double share_variance(double error, int64_t items) {
  const auto n = static_cast<double>(items);
  const double p = std::clamp(error, 0.5 / n, 1 - 0.5 / n);
  return p * (1 - p) / n;
}

}  // namespace

OneThread::OneThread() : before_(at::get_num_threads()) {
  at::set_num_threads(1);
}

OneThread::~OneThread() {
  at::set_num_threads(before_);
}

bo::GpData arm_data(const ArmGround& ground, const std::vector<Observation>& own, Sign sign) {
  const bool noisy = ground.config.gp.noise == "heteroscedastic";
  bo::GpData data;
  std::vector<at::Tensor> rows;
  const auto add = [&](const at::Tensor& latent, double error, int64_t items) {
    rows.push_back(latent);
    data.targets.push_back(sign == Sign::plan ? error : -error);
    if (noisy) data.noise.push_back(share_variance(error, items));
  };
  for (const auto& one : ground.start) add(ground.latents[one.candidate], one.error(), one.items);
  for (const auto& one : own)
    add(one.latent, one.error(), one.predicted >= 0 ? ground.items : one.items);
  data.inputs = at::stack(rows);
  return data;
}

bo::GpModel arm_process(const ArmGround& ground, const ArmHistory& history, Sign sign,
                        const base::RandomStream& random) {
  const auto options = ground.config.gp_options();
  const auto start = arm_data(ground, {}, sign);
  if (!history.parameters.defined()) return bo::fit_gp(start, options, random);
  const auto before = bo::gp_at(start, options, history.parameters);
  return bo::update_gp(before, arm_data(ground, history.observations, sign),
                       ground.config.retrain_options());
}

void describe(const bo::GpModel& model, ArmStep& step) {
  const auto hyper = bo::gp_hyperparameters(model.shape, model.parameters);
  step.parameters = model.parameters;
  step.model = model;
  step.numbers.gp_loss = model.loss;
  step.numbers.gp_noise = hyper.noise;
  step.numbers.gp_outputscale = hyper.outputscale;
  step.numbers.observations = std::ssize(model.data.targets);
}

}  // namespace preimage::lipo
