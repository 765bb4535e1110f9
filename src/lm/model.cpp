#include "preimage/lm/model.hpp"

#include <unistd.h>

#include <array>
#include <optional>

#include <ATen/ATen.h>

#include "checkpoint_weights.hpp"
#include "decoder.hpp"
#include "families.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint.hpp"

namespace preimage::lm {
namespace {

constexpr std::array<const char*, 4> kFormatNames = {"decoded", "stored", "int8", "fp8"};

void require_memory(const ModelConfig& config, const LoadOptions& options,
                    const std::filesystem::path& folder) {
  if (!options.device.is_cpu()) return;  // the allocator of the device names its own numbers
  const auto memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  const double needed = weight_bytes(config, options);
  if (needed > memory) {
    throw base::unavailable_error(base::str(
        folder.string(), ": the weights need ", base::human_bytes(static_cast<uint64_t>(needed)),
        " in this precision, the machine has ", base::human_bytes(static_cast<uint64_t>(memory)),
        "; use bfloat16, int8 or fp8 weights, a GPU, or a smaller model"));
  }
}

// A tied model that stores its head anyway must store the embedding again.
void require_tied_head(const Checkpoint& checkpoint, const ModelConfig& config) {
  if (!config.tied_embeddings || !checkpoint.has("lm_head.weight")) return;
  const std::vector<int64_t> shape = {config.vocab_size, config.hidden_size};
  const auto head = checkpoint.load("lm_head.weight", shape, at::kFloat, at::kCPU);
  const auto table = checkpoint.load("model.embed_tokens.weight", shape, at::kFloat, at::kCPU);
  if (!at::equal(head, table)) {
    throw base::data_error(checkpoint.folder().string() +
                           ": config.json says tie_word_embeddings but lm_head.weight differs from "
                           "model.embed_tokens.weight");
  }
}

// Bits of one element of a layer's matrix, its scales included.
double matrix_bits(const ModelConfig& config, const std::string& name, const LoadOptions& options) {
  using Format = StoredQuantization::Format;
  const double plain = 8 * static_cast<double>(c10::elementSize(options.dtype));
  // Packed for the product and for the gradient beside the matrix itself.
  const double dense = options.device.is_cpu() ? 3 * plain : plain;
  switch (options.weights) {
    case WeightFormat::decoded:
      return dense;
    case WeightFormat::int8:
    case WeightFormat::fp8:
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
                           "\", expected decoded, stored, int8 or fp8");
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

double weight_bytes(const ModelConfig& config, const LoadOptions& options) {
  double bits = 0;
  for (const auto& [name, shape] : expected_tensors(config)) {
    const bool layer_matrix = shape.size() > 1 && name != "model.embed_tokens.weight" &&
                              !name.ends_with("mlp.gate.weight");
    const auto count = static_cast<double>(c10::multiply_integers(shape));
    bits += count * (layer_matrix ? matrix_bits(config, name, options)
                                  : 8 * static_cast<double>(c10::elementSize(options.dtype)));
  }
  return bits / 8;
}

std::shared_ptr<const Model> load_model(const std::filesystem::path& folder,
                                        const LoadOptions& options) {
  const ModelConfig config = read_model_config(folder);
  const Checkpoint checkpoint(folder);
  std::optional<Adapter> adapter;
  if (!options.adapter.empty()) adapter.emplace(options.adapter, expected_tensors(config));
  const CheckpointWeights weights(checkpoint, config, options, adapter ? &*adapter : nullptr);
  weights.require_all();
  require_memory(config, options, folder);
  require_tied_head(checkpoint, config);
  const at::NoGradGuard no_grad;
  return std::make_shared<Decoder>(config, weights);
}

}  // namespace preimage::lm
