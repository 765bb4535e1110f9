#include "preimage/lm/adapter/live_adapter.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "adapter/changes.hpp"
#include "adapter/svd_factors.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

bool fits(const std::string& module, const std::string& target) {
  return module == target || module.ends_with("." + target);
}

void require_fitting(const std::vector<AdapterModule>& modules,
                     const std::vector<std::string>& targets) {
  for (const auto& target : targets) {
    const auto one = [&](const AdapterModule& module) { return fits(module.name, target); };
    if (std::any_of(modules.begin(), modules.end(), one)) continue;
    std::string last;
    if (!modules.empty()) last = base::str("; one that can is ", modules.back().name);
    throw base::config_error(base::str("adapter.targets: \"", target,
                                       "\" names no linear layer that can carry an ", "adapter",
                                       last));
  }
}

// U(-1/sqrt(in), 1/sqrt(in)): torch's kaiming_uniform_ with a = sqrt(5).
at::Tensor drawn_a(const AdapterModule& module, uint64_t seed) {
  const base::RandomStream stream(seed, module.name, "lora A");
  const double bound = 1 / std::sqrt(static_cast<double>(module.in));
  auto a = at::empty({module.rank, module.in}, at::kFloat);
  float* data = a.data_ptr<float>();
  for (int64_t i = 0; i < a.numel(); ++i)
    data[i] = static_cast<float>(bound * (2 * stream.uniform(static_cast<uint64_t>(i)) - 1));
  return a;
}

}  // namespace

void AdapterOptions::lora_fields(base::Fields& f) {
  f.add("rank", rank, {.help = "of the two matrices of lora", .min = 1, .max = 65536});
  f.add("alpha", alpha,
        {.help = "of lora: B A is scaled by alpha / rank", .min = 1e-6, .max = 1e6});
  f.add("targets", targets, {.help = "last parts of the names of the changed linear layers"});
}

void AdapterOptions::fields(base::Fields& f) {
  f.add("kind", kind,
        {.help = "lora: B A beside a matrix; svd: knobs between its singular vectors",
         .choices = {"lora", "svd"}});
  lora_fields(f);
  f.add("train_a", train_a, {.help = "of lora: false trains B alone"});
}

LiveAdapter make_adapter(const Model& base, const AdapterOptions& options, uint64_t seed,
                         const std::filesystem::path& cache) {
  const at::NoGradGuard no_grad;
  const bool lora = options.kind == "lora";
  LiveAdapter out;
  out.options = options;
  const auto all = module_sizes(base.config());
  require_fitting(all, options.targets);
  for (auto module : all) {
    const auto targeted = [&](const auto& target) { return fits(module.name, target); };
    if (std::none_of(options.targets.begin(), options.targets.end(), targeted)) continue;
    module.rank = lora ? options.rank : std::min(module.out, module.in);
    if (lora) module.scale = options.alpha / static_cast<double>(options.rank);
    out.modules.push_back(std::move(module));
  }
  lay_out(out, base.device());
  if (!lora) {
    const auto matrix = [&](size_t i) { return module_matrix(base, out.modules[i].name); };
    auto factors = svd_factors(out.modules.size(), matrix, base.device(), cache);
    for (size_t i = 0; i < factors.size(); ++i)
      out.factors[out.modules[i].name] = std::move(factors[i]);
    return out;
  }
  for (const auto& module : out.modules) {
    if (options.train_a) {
      out.parameters.views.at(a_name(module)).copy_(drawn_a(module, seed));
    } else {
      out.constant[a_name(module)] = drawn_a(module, seed).to(base.device());
    }
  }
  return out;
}

}  // namespace preimage::lm
