// LoRA folders in the layout of the PEFT library, read as live parameters and written.
#include <set>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "adapter/changes.hpp"
#include "checkpoint/adapter_config.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"

namespace preimage::lm {
namespace {

using base::str;
namespace fs = std::filesystem;

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kTensorsName = "adapter_model.safetensors";
constexpr const char* kPrefix = "base_model.model.";

at::Tensor read_matrix(const SafetensorsFile& file, const std::string& name,
                       const std::vector<int64_t>& shape) {
  const auto place = str(file.path().string(), ": tensor \"", kPrefix, name, "\"");
  const auto* info = file.find(kPrefix + name);
  if (info == nullptr) throw base::data_error(place + " is missing");
  if (info->shape != shape) {
    throw base::data_error(str(place, ": shape ", base::shape_text(info->shape), ", expected ",
                               base::shape_text(shape)));
  }
  const auto values = file.read(*info);
  if (!at::isFloatingType(values.scalar_type()) ||
      !at::isfinite(values.to(at::kFloat)).all().item<bool>())
    throw base::data_error(place + ": expected finite floating-point values");
  return values.to(at::kFloat);
}

// Its factors are the file's only two tensors of a module.
void require_known(const SafetensorsFile& file, const std::set<std::string>& known) {
  for (const auto& tensor : file.tensors()) {
    if (known.contains(tensor.name)) continue;
    throw base::data_error(
        str(file.path().string(), ": tensor \"", tensor.name,
            "\" is no low-rank matrix of a linear layer of the model's blocks; such an adapter can "
            "only be merged"));
  }
}

// One number for all modules, or a pattern for each.
base::Json patterns_of(const std::vector<AdapterModule>& modules, double common,
                       double (*value)(const AdapterModule&)) {
  auto out = base::Json::object();
  for (const auto& module : modules) {
    if (value(module) != common) out[module.name] = value(module);
  }
  return out;
}

double rank_of(const AdapterModule& module) {
  return static_cast<double>(module.rank);
}
double alpha_of(const AdapterModule& module) {
  return module.scale * static_cast<double>(module.rank);
}

base::Json config_of(const LiveAdapter& adapter, const std::string& base_name) {
  const auto& first = adapter.modules.front();
  auto ranks = patterns_of(adapter.modules, rank_of(first), rank_of);
  for (auto& [name, value] : ranks.items()) value = static_cast<int64_t>(value.get<double>());
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", base_name},
          {"r", first.rank},
          {"lora_alpha", alpha_of(first)},
          {"rank_pattern", ranks},
          {"alpha_pattern", patterns_of(adapter.modules, alpha_of(first), alpha_of)},
          {"target_modules", adapter.options.targets},
          {"lora_dropout", 0.0},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"init_lora_weights", true},
          {"use_rslora", false},
          {"use_dora", false},
          {"modules_to_save", nullptr},
          {"inference_mode", true}};
}

}  // namespace

LiveAdapter load_adapter(const fs::path& folder, const Model& base) {
  const at::NoGradGuard no_grad;
  const AdapterConfig config(folder / kConfigName, base.config().family);
  if (config.base_change().kind != BaseChange::Kind::none) {
    throw base::data_error(str(config.place(),
                               ": init_lora_weights changes the base weights; such an adapter can "
                               "only be merged"));
  }
  const SafetensorsFile file(folder / kTensorsName);
  LiveAdapter out;
  out.options.targets.clear();
  std::set<std::string> known;
  for (auto module : module_sizes(base.config())) {
    if (!file.find(kPrefix + a_name(module))) continue;
    known.insert({kPrefix + a_name(module), kPrefix + b_name(module)});
    if (!config.targets(module.name, /*linear=*/true)) continue;
    module.rank = config.rank(module.name), module.scale = config.scale(module.name);
    out.options.targets.push_back(module.name);
    out.modules.push_back(std::move(module));
  }
  require_known(file, known);
  if (out.modules.empty())
    throw base::data_error(str(config.place(), ": changes no linear layer of the model"));
  out.options.rank = out.modules[0].rank, out.options.alpha = alpha_of(out.modules[0]);
  lay_out(out, base.device());
  for (const auto& [name, shape] : out.tensors)
    out.parameters.views.at(name).copy_(read_matrix(file, name, shape));
  return out;
}

void save_adapter(const LiveAdapter& adapter, const std::string& base_name, at::ScalarType dtype,
                  const fs::path& folder) {
  base::check(adapter.options.kind == "lora", "PEFT's layout holds LoRA");
  std::error_code ignored;  // the file that cannot be written says what is wrong
  fs::create_directories(folder, ignored);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  const auto add = [&](const std::string& name) {
    const auto constant = adapter.constant.find(name);
    const auto& values =
        constant != adapter.constant.end() ? constant->second : adapter.parameters.views.at(name);
    tensors.emplace_back(kPrefix + name, values.detach().to(at::kCPU, dtype).contiguous());
  };
  for (const auto& module : adapter.modules) add(a_name(module)), add(b_name(module));
  write_safetensors(folder / kTensorsName, tensors);
  base::write_file_atomically(folder / kConfigName, config_of(adapter, base_name).dump(2) + "\n");
}

}  // namespace preimage::lm
