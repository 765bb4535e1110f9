#include "checkpoint/adapter.hpp"

#include <cmath>
#include <fstream>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::JsonNode;
using base::str;
namespace fs = std::filesystem;

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kTensorsName = "adapter_model.safetensors";
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kLinearA = ".lora_A.weight", kLinearB = ".lora_B.weight";
constexpr std::string_view kEmbeddingA = ".lora_embedding_A", kEmbeddingB = ".lora_embedding_B";
constexpr int64_t kMaxRank = 1 << 16;

SafetensorsFile open_tensors(const fs::path& folder) {
  if (fs::exists(folder / kTensorsName)) return SafetensorsFile(folder / kTensorsName);
  const auto pickle = folder / "adapter_model.bin";
  throw base::data_error(
      fs::exists(pickle)
          ? str(pickle.string(),
                ": is a pickle, which can run code; scripts/convert_checkpoint.py makes ",
                kTensorsName, " of it")
          : str(folder.string(), ": no ", kTensorsName, " is here; an adapter is a folder with ",
                kConfigName, " and ", kTensorsName));
}

// rank_pattern or alpha_pattern: the value of the first pattern that ends the module's path at a
// dot, as PEFT matches them. Of regular expressions only plain names are understood.
double by_pattern(const JsonNode& config, const std::string& key, const std::string& module,
                  double otherwise) {
  const auto patterns = config.find(key);
  if (!patterns) return otherwise;
  for (const auto& [text, value] : patterns->json().items()) {
    const bool whole = text.starts_with("^");
    const std::string pattern = whole ? text.substr(1) : text;
    if (pattern.find_first_of("*+?[](){}|\\^$") != pattern.npos) {
      patterns->fail("\"" + text + "\" is a regular expression; only names are supported");
    }
    if (!module.ends_with(pattern)) continue;
    const size_t before = module.size() - pattern.size();
    if (before == 0 || (!whole && module[before - 1] == '.')) return patterns->at(text).number();
  }
  return otherwise;
}

// Keys that change the mathematics and that nothing here computes.
void refuse_unknown_mathematics(const JsonNode& config) {
  if (const auto type = config.string_or("peft_type", "?"); type != "LORA")
    config.fail("peft_type \"" + type + "\" is not supported, expected \"LORA\"");
  for (const char* key : {"use_dora", "lora_bias", "use_qalora", "use_bdlora"}) {
    if (config.boolean_or(key, false)) config.fail(str(key, " true is not supported"));
  }
  if (const auto bias = config.string_or("bias", "none"); bias != "none")
    config.fail("bias \"" + bias + "\" is not supported, expected \"none\"");
  for (const char* key : {"target_parameters", "trainable_token_indices", "layer_replication",
                          "alora_invocation_tokens", "arrow_config", "kasa_config", "velora_config",
                          "monteclora_config"}) {
    const auto value = config.find(key);
    if (value && !value->json().empty()) value->fail("is not supported");
  }
}

int64_t rank_of(const JsonNode& config, const std::string& module) {
  const double rank =
      by_pattern(config, "rank_pattern", module, config.find("r") ? config.at("r").number() : 8);
  if (!(rank >= 1 && rank <= kMaxRank && rank == std::floor(rank)))
    config.fail(str("r: found ", rank, " for ", module, ", expected an integer from 1 on"));
  return static_cast<int64_t>(rank);
}

double scale_of(const JsonNode& config, const std::string& module) {
  const double alpha = by_pattern(config, "alpha_pattern", module,
                                  config.find("lora_alpha") ? config.at("lora_alpha").number() : 8);
  const auto r = static_cast<double>(rank_of(config, module));
  return alpha / (config.boolean_or("use_rslora", false) ? std::sqrt(r) : r);
}

void require_shape(const SafetensorsFile& file, const TensorInfo& tensor,
                   const std::vector<int64_t>& expected) {
  if (tensor.shape == expected) return;
  throw base::data_error(str(file.path().string(), ": tensor \"", tensor.name, "\": shape ",
                             base::shape_text(tensor.shape), ", expected ",
                             base::shape_text(expected),
                             "; is this the adapter's model, and its r that of the file?"));
}

}  // namespace

std::vector<int64_t> Adapter::target(const std::string& tensor, const std::string& name) const {
  const auto it = shapes_.find(name);
  if (it == shapes_.end()) {
    throw base::data_error(str(file_.path().string(), ": tensor \"", tensor, "\" changes \"", name,
                               "\", which the model does not have"));
  }
  return it->second;
}

void Adapter::add_low_rank(const TensorInfo& a, const std::string& module, bool embedding,
                           const JsonNode& config) {
  const auto shape = target(a.name, module + ".weight");
  base::check(shape.size() == 2, "modules with low-rank changes are matrices");
  const std::string other = str(kPrefix, module, embedding ? kEmbeddingB : kLinearB);
  const auto* b = file_.find(other);
  if (b == nullptr) {
    throw base::data_error(
        str(file_.path().string(), ": no tensor \"", other, "\" beside \"", a.name, "\""));
  }
  const int64_t rank = rank_of(config, module);
  require_shape(file_, a, {rank, embedding ? shape[0] : shape[1]});
  require_shape(file_, *b, {embedding ? shape[1] : shape[0], rank});
  changes_[module + ".weight"] = {a.name, other, scale_of(config, module), embedding};
}

Adapter::Adapter(const fs::path& folder, const TensorList& targets)
    : file_(open_tensors(folder)), shapes_(targets.begin(), targets.end()) {
  const auto path = folder / kConfigName;
  const base::Json json = base::read_json(path, {.allow_non_finite = true});
  const JsonNode config(json, path.string());
  refuse_unknown_mathematics(config);
  for (const auto& tensor : file_.tensors()) {
    if (!tensor.name.starts_with(kPrefix)) {
      throw base::data_error(str(file_.path().string(), ": tensor \"", tensor.name,
                                 "\": expected names that begin with ", kPrefix));
    }
    const std::string name = tensor.name.substr(kPrefix.size());
    const auto before = [&](std::string_view ending) {
      return name.substr(0, name.size() - ending.size());
    };
    if (name.ends_with(kLinearA)) {
      add_low_rank(tensor, before(kLinearA), false, config);
    } else if (name.ends_with(kEmbeddingA)) {
      add_low_rank(tensor, before(kEmbeddingA), true, config);
    } else if (name.ends_with(kLinearB) || name.ends_with(kEmbeddingB)) {
      const bool embedding = name.ends_with(kEmbeddingB);
      const auto first = str(kPrefix, before(embedding ? kEmbeddingB : kLinearB),
                             embedding ? kEmbeddingA : kLinearA);
      if (file_.find(first) == nullptr) {
        throw base::data_error(
            str(file_.path().string(), ": no tensor \"", first, "\" beside \"", tensor.name, "\""));
      }
    } else {  // modules_to_save: a whole tensor in place of the model's
      require_shape(file_, tensor, target(tensor.name, name));
      changes_[name] = {tensor.name, "", 0, false};
    }
  }
}

bool Adapter::changes(const std::string& name) const {
  return changes_.contains(name);
}

at::Tensor Adapter::read(const std::string& tensor, at::Device device) const {
  const auto values = file_.read(*file_.find(tensor));
  const std::string place = str(file_.path().string(), ": tensor \"", tensor, "\"");
  if (!at::isFloatingType(values.scalar_type()))
    throw base::data_error(place + ": is not of a floating-point type");
  if (!at::isfinite(values.to(at::kFloat)).all().item<bool>())
    throw base::data_error(place + ": has values that are NaN or Inf");
  return values.to(device, at::kFloat);
}

at::Tensor Adapter::merged(const std::string& name, at::Tensor weight) const {
  const auto it = changes_.find(name);
  if (it == changes_.end()) return weight;
  const Change& change = it->second;
  const auto a = read(change.a, weight.device());
  if (change.b.empty()) return a.to(weight.scalar_type());
  auto delta = at::matmul(read(change.b, weight.device()), a) * change.scale;
  if (change.transposed) delta = delta.t();
  return (weight.to(at::kFloat) + delta).to(weight.scalar_type());
}

}  // namespace preimage::lm
