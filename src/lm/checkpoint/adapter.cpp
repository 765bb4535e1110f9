#include "checkpoint/adapter.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "checkpoint/residual.hpp"
#include "checkpoint/tensor_names.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::str;
namespace fs = std::filesystem;

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kTensorsName = "adapter_model.safetensors";
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kLinearA = ".lora_A.weight", kLinearB = ".lora_B.weight";
constexpr std::string_view kEmbeddingA = ".lora_embedding_A", kEmbeddingB = ".lora_embedding_B";
constexpr std::string_view kBase = ".base_layer.";

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

void require_shape(const SafetensorsFile& file, const TensorInfo& tensor,
                   const std::vector<int64_t>& expected) {
  if (tensor.shape == expected) return;
  throw base::data_error(
      str(file.path().string(), ": tensor \"", tensor.name, "\": shape ",
          base::shape_text(tensor.shape), ", expected ", base::shape_text(expected),
          "; is this the adapter's model, and its r (rank_pattern) that of the file?"));
}

// "a.b.weight" -> "a.b"
std::string module_of(const std::string& name) {
  return name.substr(0, name.rfind('.'));
}

}  // namespace

bool Adapter::Change::operator==(const Change& other) const {
  return whole == other.whole && a == other.a && b == other.b;
}

Adapter::Adapter(const fs::path& folder, const ModelConfig& model)
    : file_(open_tensors(folder)),
      config_(folder / kConfigName, model.family),
      tied_(model.tied_embeddings),
      notes_(config_.notes()) {
  for (auto& [name, shape] : expected_tensors(model)) shapes_[name] = shape;
  if (tied_) shapes_[kHead] = shapes_[kEmbedding];
  for (const auto& tensor : file_.tensors()) take(tensor);
  settle_tied();
  if (left_out_.empty()) return;
  if (changes_.empty()) {
    throw base::data_error(str(config_.place(),
                               ": target_modules, exclude_modules, layers_to_transform and "
                               "layers_pattern leave out every module of the adapter"));
  }
  std::sort(left_out_.begin(), left_out_.end());
  left_out_.erase(std::unique(left_out_.begin(), left_out_.end()), left_out_.end());
  notes_.push_back(str(file_.path().string(), ": left out, as target_modules, exclude_modules and ",
                       "layers_to_transform say: ", left_out_.size(), " modules (", left_out_[0],
                       left_out_.size() > 1 ? ", ...)" : ")"));
}

void Adapter::take(const TensorInfo& tensor) {
  if (!tensor.name.starts_with(kPrefix)) {
    throw base::data_error(str(file_.path().string(), ": tensor \"", tensor.name,
                               "\": expected names that begin with ", kPrefix));
  }
  const std::string name = tensor.name.substr(kPrefix.size());
  const auto before = [&](std::string_view ending) {
    return name.substr(0, name.size() - ending.size());
  };
  if (name.ends_with(kLinearA)) {
    add_low_rank(tensor, before(kLinearA), false);
  } else if (name.ends_with(kEmbeddingA)) {
    add_low_rank(tensor, before(kEmbeddingA), true);
  } else if (name.ends_with(kLinearB)) {
    require_partner(tensor, str(kPrefix, before(kLinearB), kLinearA));
  } else if (name.ends_with(kEmbeddingB)) {
    require_partner(tensor, str(kPrefix, before(kEmbeddingB), kEmbeddingA));
  } else {
    add_whole(tensor, name);
  }
}

void Adapter::require_partner(const TensorInfo& b, const std::string& first) const {
  if (file_.find(first) != nullptr) return;
  throw base::data_error(
      str(file_.path().string(), ": no tensor \"", first, "\" beside \"", b.name, "\""));
}

std::string Adapter::target(const std::string& tensor, const std::string& name) const {
  if (shapes_.contains(name)) return name;
  // Of a model that was trained without its head.
  if (shapes_.contains("model." + name)) return "model." + name;
  throw base::data_error(str(file_.path().string(), ": tensor \"", tensor, "\" changes \"", name,
                             "\", which the model does not have"));
}

void Adapter::add_low_rank(const TensorInfo& a, const std::string& module, bool embedding) {
  const auto name = target(a.name, module + ".weight");
  const auto& shape = shapes_.at(name);
  base::check(shape.size() == 2, "modules with low-rank changes are matrices");
  const std::string other = str(kPrefix, module, embedding ? kEmbeddingB : kLinearB);
  const auto* b = file_.find(other);
  if (b == nullptr) {
    throw base::data_error(
        str(file_.path().string(), ": no tensor \"", other, "\" beside \"", a.name, "\""));
  }
  if (!config_.targets(module, !embedding && name != kHead)) {
    if (config_.saves_whole(module)) {
      throw base::data_error(str(config_.place(), ": modules_to_save names ", module,
                                 ", for which the file has low-rank matrices"));
    }
    left_out_.push_back(module);
    return;
  }
  const int64_t rank = config_.rank(module);
  require_shape(file_, a, {rank, embedding ? shape[0] : shape[1]});
  require_shape(file_, *b, {embedding ? shape[1] : shape[0], rank});
  auto& change = changes_[name];
  change.a = a.name, change.b = other;
  change.scale = config_.scale(module), change.rank = rank, change.transposed = embedding;
  if (!embedding) change.base = config_.base_change();
  if (change.base.kind != BaseChange::Kind::none && tied_ && name == kHead) {
    throw base::data_error(str(config_.place(),
                               ": init_lora_weights changes lm_head, whose matrix is the embedding "
                               "too; that is not supported"));
  }
}

// A module of modules_to_save, on its side of a tied matrix alone; or a copy of the base's own
// tensor, which PEFT writes for embeddings ("...base_layer.weight" beside low-rank matrices) and
// reads back into the base.
void Adapter::add_whole(const TensorInfo& tensor, std::string name) {
  const auto base_at = name.find(kBase);
  if (base_at != name.npos) name.replace(base_at, kBase.size(), ".");
  const auto place = target(tensor.name, name);
  require_shape(file_, tensor, shapes_.at(place));
  const bool own_side = base_at == name.npos && config_.saves_whole(module_of(name));
  changes_[place].whole = tensor.name;
  if (own_side || !tied_) return;
  if (place == kHead) changes_[kEmbedding].whole = tensor.name;
  if (place == kEmbedding) changes_[kHead].whole = tensor.name;
}

// ensure_weight_tying: what is said of one side holds for both.
void Adapter::settle_tied() {
  if (!tied_ || !config_.ties()) return;
  const bool embedding = changes(kEmbedding), head = changes(kHead);
  if (embedding) changes_[kHead] = changes_[kEmbedding];
  if (!embedding && head) changes_[kEmbedding] = changes_[kHead];
}

bool Adapter::splits_tied() const {
  if (!tied_) return false;
  const auto embedding = changes_.find(kEmbedding), head = changes_.find(kHead);
  if (embedding == changes_.end() || head == changes_.end())
    return embedding != changes_.end() || head != changes_.end();
  return !(embedding->second == head->second);
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
  const auto dtype = weight.scalar_type();
  at::Tensor sum = change.whole.empty() ? weight : read(change.whole, weight.device()).to(dtype);
  if (change.a.empty()) return sum;
  sum = sum.to(at::kFloat);
  if (change.whole.empty() && change.base.kind != BaseChange::Kind::none) {
    sum = residual(sum, {.change = change.base,
                         .rank = change.rank,
                         .scale = change.scale,
                         .place = str(config_.place(), ": init_lora_weights: ", name)})
              .to(dtype)
              .to(at::kFloat);
  }
  auto delta =
      at::matmul(read(change.b, weight.device()), read(change.a, weight.device())) * change.scale;
  if (change.transposed) delta = delta.t();
  return (sum + delta).to(dtype);
}

}  // namespace preimage::lm
