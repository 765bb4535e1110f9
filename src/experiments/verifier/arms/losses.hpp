// What an energy model is trained on: one passing candidate and some failing ones of the same
// problem at a time. Energies fall for passing candidates.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/config.hpp"

namespace preimage::verifier {

// Energies of groups of one passing and up to J failing candidates.
struct GroupEnergies {
  at::Tensor positive;  // [groups]
  at::Tensor negative;  // [groups, J]
  at::Tensor present;   // [groups, J] float: 1 where there is a failing candidate, else 0
};

struct LossOptions {
  std::string kind = "margin";  // one of loss_kinds()
  double margin = 0.5;          // margin: below 1 for sigmoid energies
  double temperature = 0.2;     // logistic, infonce
  double mse_weight = 0.1;      // of mse_single beside a ranking loss: fixes the free offset
  void fields(base::Fields& f);
};

std::vector<std::string> loss_kinds();

// The loss of each group [groups], differentiable. Terms over the failing candidates are means over
// those present; e+ the passing energy, e- a failing one:
//   margin      max(0, margin - (e- - e+))
//   logistic    softplus(-(e- - e+) / temperature)
//   infonce     -log(exp(-e+/t) / (exp(-e+/t) + sum_j exp(-e-_j/t)))       (van den Oord et al.
//   2018) mse_paired  e+^2 + (e- - 1)^2 mse_single  half of mse_paired: the mean over labels in
//   balance bce         cross entropy of the label "fails" with the energy as its logit, in balance
// margin, logistic and infonce add mse_weight times mse_single. With `raw` energies the squared
// errors are those of the raw values.
at::Tensor group_losses(const GroupEnergies& energies, const LossOptions& options);

}  // namespace preimage::verifier
