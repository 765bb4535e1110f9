#include "known_objective.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lipo {
namespace {

constexpr const char* kUnit = "known objective";

std::vector<double> random_point(const KnownSearchOptions& options, uint64_t seed, int64_t number) {
  const base::RandomStream random(seed, kUnit, "points");
  std::vector<double> out;
  for (int64_t k = 0; k < options.dimensions; ++k)
    out.push_back(random.uniform(static_cast<uint64_t>(number * options.dimensions + k)));
  return out;
}

}  // namespace

double known_error(const std::vector<double>& z, const KnownSearchOptions& options, uint64_t seed) {
  const base::RandomStream random(seed, kUnit, "directions");
  double sum = 0;
  for (int64_t r = 0; r < options.relevant; ++r) {
    double along = 0, square = 0;
    for (int64_t k = 0; k < options.dimensions; ++k) {
      const double a = random.normal(static_cast<uint64_t>(r * options.dimensions + k));
      along += a * (z[k] - 0.5);
      square += a * a;
    }
    sum += std::tanh(along / std::sqrt(square));
  }
  return 0.5 - 0.5 * sum / static_cast<double>(options.relevant);
}

KnownSearch search_known_objective(const KnownSearchOptions& options, uint64_t seed) {
  const bool random = options.proposals == "random", plan = options.proposals == "plan_sign";
  base::check(random || plan || options.proposals == "log_ei",
              "proposals are log_ei, plan_sign or random");
  std::vector<double> inputs;
  bo::GpData data;
  KnownSearch out;
  const auto evaluate = [&](const std::vector<double>& z) {
    const double error = known_error(z, options, seed);
    inputs.insert(inputs.end(), z.begin(), z.end());
    data.targets.push_back(plan ? error : -error);
    out.lowest.push_back(out.lowest.empty() ? error : std::min(error, out.lowest.back()));
  };
  bo::GpModel model;
  for (int64_t number = 0; number < options.initial + options.iterations; ++number) {
    if (random || number < options.initial) {
      evaluate(random_point(options, seed, number));
      continue;
    }
    data.inputs = at::tensor(inputs, at::kDouble).view({-1, options.dimensions});
    model = number == options.initial ? bo::fit_gp(data, options.gp, {seed, kUnit, "adapter"})
                                      : bo::update_gp(model, data, options.update);
    const auto [lowest, highest] = std::ranges::minmax(data.targets);
    const auto found = bo::maximise_log_ei(model, plan ? lowest : highest, options.acquisition,
                                           {seed, base::str(kUnit, " ", number), "acquisition"});
    const auto z = model.input.denormalise(found.best).clamp(0, 1).contiguous();
    evaluate({z.const_data_ptr<double>(), z.const_data_ptr<double>() + options.dimensions});
  }
  return out;
}

}  // namespace preimage::lipo
