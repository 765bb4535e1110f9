#include "adapter/changes.hpp"

#include <string_view>

#include <ATen/ATen.h>

#include "decoder.hpp"
#include "preimage/base/error.hpp"

namespace preimage::lm {
namespace {

const Decoder& decoder_of(const Model& model) {
  const auto* decoder = dynamic_cast<const Decoder*>(&model);
  base::check(decoder != nullptr, "an adapter is put on a decoder");
  return *decoder;
}

}  // namespace

std::vector<AdapterModule> module_sizes(const ModelConfig& config) {
  constexpr std::string_view kWeight = ".weight";
  std::vector<AdapterModule> out;
  for (const auto& [name, shape] : expected_tensors(config)) {
    const bool routing = name.find(".mlp.experts.") != name.npos ||
                         name.ends_with(".mlp.gate.weight") || name.ends_with(".mlp.router.weight");
    if (shape.size() != 2 || !name.starts_with("model.layers.") || !name.ends_with(kWeight) ||
        routing)
      continue;
    out.push_back(
        {.name = name.substr(0, name.size() - kWeight.size()), .out = shape[0], .in = shape[1]});
  }
  return out;
}

std::vector<std::string> adaptable_modules(const ModelConfig& config) {
  std::vector<std::string> names;
  for (const auto& module : module_sizes(config)) names.push_back(module.name);
  return names;
}

void lay_out(LiveAdapter& adapter, at::Device device) {
  const bool lora = adapter.options.kind == "lora";
  int64_t first = 0;
  for (auto& m : adapter.modules) {
    m.first = first;
    if (lora) {
      if (adapter.options.train_a) adapter.tensors.push_back({a_name(m), {m.rank, m.in}});
      adapter.tensors.push_back({b_name(m), {m.out, m.rank}});
      m.count = m.rank * (m.out + (adapter.options.train_a ? m.in : 0));
    } else {
      adapter.tensors.push_back({s_name(m), {m.rank}});
      m.count = m.rank;
    }
    first += m.count;
  }
  adapter.parameters = make_parameters(adapter.tensors, device);
}

std::map<std::string, nn::LowRank> changes_of(const LiveAdapter& adapter, const Leaves* leaves) {
  const auto parameter = [&](const std::string& name) -> const at::Tensor& {
    return leaves ? leaves->by_name.at(name) : adapter.parameters.views.at(name);
  };
  std::map<std::string, nn::LowRank> out;
  for (const auto& module : adapter.modules) {
    auto& change = out[module.name];
    if (adapter.options.kind == "svd") {
      const auto& factors = adapter.factors.at(module.name);
      change.down = factors.vh, change.up = factors.u, change.gain = parameter(s_name(module));
      continue;
    }
    const auto constant = adapter.constant.find(a_name(module));
    change.down = nn::Weight(constant != adapter.constant.end() ? constant->second
                                                                : parameter(a_name(module)));
    change.up = nn::Weight(parameter(b_name(module)));
    change.scale = module.scale;
    change.live = true;
  }
  return out;
}

std::shared_ptr<const Model> changed_model(const Model& base,
                                           const std::map<std::string, nn::LowRank>& changes,
                                           const std::vector<int64_t>& samples) {
  const Changes given = {[&](const std::string& module) -> const nn::LowRank* {
                           const auto found = changes.find(module);
                           return found == changes.end() ? nullptr : &found->second;
                         },
                         samples};
  return std::make_shared<Decoder>(decoder_of(base), given);
}

std::shared_ptr<const Model> with_adapter(const Model& base, const LiveAdapter& adapter,
                                          const Leaves* leaves) {
  return changed_model(base, changes_of(adapter, leaves));
}

at::Tensor module_matrix(const Model& base, const std::string& module) {
  for (const auto& layer : decoder_of(base).layers()) {
    for (const auto& projections :
         {layer.attention->projections(), layer.feed_forward->projections()}) {
      for (const auto* projection : projections) {
        if (auto matrix = projection->matrix_of(module); matrix.defined()) return matrix;
      }
    }
  }
  base::check(false, "module " + module + " belongs to the model");
  return {};
}

}  // namespace preimage::lm
