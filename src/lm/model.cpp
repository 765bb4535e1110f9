#include "preimage/lm/model.hpp"

#include <array>
#include <optional>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "checkpoint/checkpoint_weights.hpp"
#include "checkpoint/tensor_names.hpp"
#include "decoder.hpp"
#include "families/families.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/checkpoint.hpp"
#include "preimage/nn/device_memory.hpp"

namespace preimage::lm {
namespace {

constexpr std::array<const char*, 5> kFormatNames = {"decoded", "stored", "int8", "fp8",
                                                     "fp8_w8a8"};

// How often a dense matrix is held: on the CPU packed for each use beside the matrix itself.
double copies(const LoadOptions& options, PackedFor use) {
  if (!options.device.is_cpu()) return 1;
  return use == PackedFor::products ? 2 : 3;
}

// Bits of one element of a layer's matrix, its scales included.
double matrix_bits(const ModelConfig& config, const std::string& name, const LoadOptions& options,
                   PackedFor use) {
  using Format = StoredQuantization::Format;
  const double dense =
      copies(options, use) * 8 * static_cast<double>(c10::elementSize(options.dtype));
  switch (options.weights) {
    case WeightFormat::decoded:
      return dense;
    case WeightFormat::int8:
    case WeightFormat::fp8:
    case WeightFormat::fp8_w8a8:
      return 8;
    case WeightFormat::stored:
      break;
  }
  const bool of_experts = name.find(".mlp.experts.") != name.npos;
  if (name == "lm_head.weight") return dense;
  switch (config.stored.format) {
    case Format::plain:
      return dense;
    case Format::fp8_blocks:
      return 8;
    // Published checkpoints keep everything but the routed experts plain.
    case Format::mxfp4:
      return of_experts ? 4.25 : dense;
    case Format::int4_groups:
      return of_experts ? 4 + 32.0 / static_cast<double>(config.stored.block_columns) : dense;
  }
  return dense;
}

}  // namespace

WeightFormat parse_weight_format(const std::string& word) {
  for (size_t i = 0; i < kFormatNames.size(); ++i) {
    if (word == kFormatNames[i]) return static_cast<WeightFormat>(i);
  }
  throw base::config_error("weights: found \"" + word +
                           "\", expected decoded, stored, int8, fp8 or fp8_w8a8");
}

const char* weight_format_name(WeightFormat format) {
  return kFormatNames[static_cast<size_t>(format)];
}

TensorList expected_tensors(const ModelConfig& config) {
  return family_of(config).tensors(config);
}

std::shared_ptr<const Model> build_model(const ModelConfig& config, const TensorSource& source) {
  return std::make_shared<Decoder>(config, TensorWeights(source));
}

double weight_bytes(const ModelConfig& config, const LoadOptions& options, PackedFor use) {
  double bits = 0;
  for (const auto& [name, shape] : expected_tensors(config)) {
    const bool layer_matrix = shape.size() > 1 && name != "model.embed_tokens.weight" &&
                              !name.ends_with("mlp.gate.weight");
    const auto count = static_cast<double>(c10::multiply_integers(shape));
    bits += count * (layer_matrix ? matrix_bits(config, name, options, use)
                                  : 8 * static_cast<double>(c10::elementSize(options.dtype)));
  }
  return bits / 8;
}

double weight_bytes(const TensorList& tensors, const LoadOptions& options) {
  double numbers = 0;
  for (const auto& [name, shape] : tensors) {
    const auto count = static_cast<double>(c10::multiply_integers(shape));
    numbers += count * (shape.size() > 1 ? copies(options, PackedFor::products) : 1);
  }
  return numbers * static_cast<double>(c10::elementSize(options.dtype));
}

void require_memory(double needed, const LoadOptions& options,
                    const std::filesystem::path& folder) {
  const double memory = options.memory > 0 ? options.memory : nn::free_bytes(options.device);
  if (needed <= memory) return;
  throw base::unavailable_error(base::str(
      folder.string(), ": the weights need ", base::human_bytes(static_cast<uint64_t>(needed)),
      " in this precision, ", options.device.is_cpu() ? "the machine" : options.device.str(),
      " has ", base::human_bytes(static_cast<uint64_t>(memory)),
      " free; use bfloat16, int8 or fp8 weights, another device, or a smaller model"));
}

std::map<std::string, at::Tensor> load_tensors(const std::filesystem::path& folder,
                                               const ModelConfig& config,
                                               const LoadOptions& options) {
  const Checkpoint checkpoint(folder);
  ModelConfig settled = config;
  const TensorNames names(checkpoint, settled);
  if (settled.tied_embeddings != config.tied_embeddings)
    throw base::data_error(settled.notes.back() +
                           "; to train it, set tie_word_embeddings to false in config.json");
  std::map<std::string, at::Tensor> out;
  for (const auto& [name, shape] : expected_tensors(config))
    out[name] = checkpoint.load(names.stored(name), shape, options.dtype, options.device);
  return out;
}

std::shared_ptr<const Model> load_model(const std::filesystem::path& folder,
                                        const LoadOptions& options) {
  ModelConfig config = read_model_config(folder, options.context);
  if (options.weights == WeightFormat::fp8_w8a8 && config.experts) {
    throw base::config_error(base::str(folder.string(), ": weights fp8_w8a8: found a mixture of ",
                                       config.experts->experts,
                                       " experts, expected a model without; use fp8 or stored"));
  }
  const Checkpoint checkpoint(folder);
  TensorNames names(checkpoint, config, options.head);
  std::optional<Adapter> adapter;
  if (!options.adapter.empty()) {
    adapter.emplace(options.adapter, config);
    if (options.head && adapter->splits_tied()) names.split(config);
    config.notes.insert(config.notes.end(), adapter->notes().begin(), adapter->notes().end());
  }
  const CheckpointWeights weights(names, config, options, adapter ? &*adapter : nullptr);
  weights.require_all();
  require_memory(weight_bytes(config, options, PackedFor::products), options, folder);
  const at::NoGradGuard no_grad;
  return std::make_shared<Decoder>(config, weights);
}

}  // namespace preimage::lm
