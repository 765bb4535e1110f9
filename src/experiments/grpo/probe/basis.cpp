#include "basis.hpp"

#include <cstring>

#include <ATen/ATen.h>

namespace preimage::grpo {
namespace {

lm::AdapterOptions options_of(const std::string& kind, const ProbeConfig& config) {
  lm::AdapterOptions options;
  options.kind = kind;
  options.rank = config.lora_rank;
  options.alpha = config.lora_alpha;
  options.train_a = false;  // at B = 0 the gradient of A is zero: directions are of B
  return options;
}

}  // namespace

Basis::Basis(std::shared_ptr<const lm::Model> model, const std::string& kind,
             const ProbeConfig& config, uint64_t seed, const std::filesystem::path& cache)
    : Basis(model, lm::make_adapter(*model, options_of(kind, config), seed, cache),
            config.batch_tokens) {}

Basis::Basis(std::shared_ptr<const lm::Model> model, lm::LiveAdapter adapter, int64_t batch_tokens)
    : kind_(adapter.options.kind),
      batch_tokens_(batch_tokens),
      model_(std::move(model)),
      adapter_(std::move(adapter)) {
  for (const auto& module : adapter_.modules) {
    const auto dot = module.name.rfind('.');
    spans_.push_back({module.name, module.name.substr(dot + 1), module.first, module.count});
  }
}

void Basis::reset() {
  adapter_.parameters.flat.zero_();
}

std::vector<at::Tensor> Basis::constants() const {
  std::vector<at::Tensor> out;
  for (const auto& module : adapter_.modules) {
    const auto found = adapter_.constant.find(module.name + ".lora_A.weight");
    if (found != adapter_.constant.end())
      out.push_back(found->second.to(at::kCPU, at::kFloat).contiguous());
  }
  return out;
}

Basis::Gradients Basis::gradients(const std::vector<Sequence>& sequences) const {
  std::vector<lm::WeightedSample> samples;
  for (const auto& s : sequences) {
    auto ids = s.prompt;
    ids.insert(ids.end(), s.completion.begin(), s.completion.end());
    samples.push_back(lm::mean_sample(std::move(ids), std::ssize(s.prompt)));
  }
  auto found = lm::sample_gradients(*model_, adapter_, samples,
                                    {.batch_tokens = batch_tokens_, .reweigh = {}});
  const auto rows = found.gradients.to(at::kCPU, at::kFloat).contiguous();
  Gradients out{Rows(std::ssize(sequences), knobs()), std::move(found.losses)};
  std::memcpy(out.rows.values().data(), rows.const_data_ptr<float>(), rows.nbytes());
  return out;
}

}  // namespace preimage::grpo
