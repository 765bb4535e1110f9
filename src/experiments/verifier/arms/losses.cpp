#include "arms/losses.hpp"

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"

namespace preimage::verifier {
namespace {

// Mean over the failing candidates that are present: [groups, J] -> [groups].
at::Tensor over_present(const at::Tensor& terms, const at::Tensor& present) {
  return (terms * present).sum(1) / present.sum(1);
}

at::Tensor mse_paired(const GroupEnergies& e) {
  return e.positive.square() + over_present((e.negative - 1).square(), e.present);
}

at::Tensor info_nce(const GroupEnergies& e, double temperature) {
  const auto failing = (-e.negative / temperature).masked_fill(e.present == 0, -INFINITY);
  const auto passing = (-e.positive / temperature).unsqueeze(1);
  return at::logsumexp(at::cat({passing, failing}, 1), 1) - passing.squeeze(1);
}

at::Tensor ranking(const GroupEnergies& e, const LossOptions& options) {
  if (options.kind == "infonce") return info_nce(e, options.temperature);
  const auto gap = e.negative - e.positive.unsqueeze(1);
  if (options.kind == "margin") return over_present((options.margin - gap).clamp_min(0), e.present);
  base::check(options.kind == "logistic", "a loss is one of loss_kinds()");
  return over_present(at::softplus(-gap / options.temperature), e.present);
}

}  // namespace

std::vector<std::string> loss_kinds() {
  return {"margin", "mse_paired", "mse_single", "logistic", "infonce", "bce"};
}

void LossOptions::fields(base::Fields& f) {
  f.add("kind", kind, {.help = "training loss", .choices = loss_kinds()});
  f.add(
      "margin", margin,
      {.help = "margin: wanted distance between failing and passing energy", .min = 0, .max = 100});
  f.add("temperature", temperature,
        {.help = "logistic, infonce: energies are divided by it", .min = 1e-3, .max = 100});
  f.add("mse_weight", mse_weight,
        {.help = "margin, logistic, infonce: weight of the squared error to 0 and 1 beside them",
         .min = 0,
         .max = 100});
}

at::Tensor group_losses(const GroupEnergies& e, const LossOptions& options) {
  base::check(e.negative.dim() == 2 && e.negative.size(0) == e.positive.size(0),
              "a group is one passing candidate and some failing ones");
  if (options.kind == "mse_paired") return mse_paired(e);
  if (options.kind == "mse_single") return 0.5 * mse_paired(e);
  if (options.kind == "bce")
    return 0.5 * (at::softplus(e.positive) + over_present(at::softplus(-e.negative), e.present));
  const auto loss = ranking(e, options);
  return options.mse_weight > 0 ? loss + options.mse_weight * 0.5 * mse_paired(e) : loss;
}

}  // namespace preimage::verifier
