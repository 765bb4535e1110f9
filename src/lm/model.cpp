#include "preimage/lm/model.hpp"

#include <unistd.h>

#include <ATen/ATen.h>

#include "decoder.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

// Old exports hold the frequencies of the rotary embedding; a tied model may still store its head.
std::vector<std::string> permitted_extras(const ModelConfig& config) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < config.layers; ++i) {
    names.push_back(base::str("model.layers.", i, ".self_attn.rotary_emb.inv_freq"));
  }
  if (config.tied_embeddings) names.push_back("lm_head.weight");
  return names;
}

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
        "; use bfloat16, a GPU, or a smaller model"));
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

}  // namespace

TensorList expected_tensors(const ModelConfig& config) {
  return decoder_tensors(config);
}

std::shared_ptr<const Model> build_model(const ModelConfig& config, const TensorSource& source) {
  return std::make_shared<Decoder>(config, source);
}

double weight_bytes(const ModelConfig& config, const LoadOptions& options) {
  const auto parameters = static_cast<double>(config.parameters());
  if (options.dtype != at::kFloat)
    return parameters * static_cast<double>(c10::elementSize(options.dtype));
  // Packed for the product and for the gradient beside the matrices themselves.
  return parameters * 4 * (options.device.is_cpu() ? 3 : 1);
}

std::shared_ptr<const Model> load_model(const std::filesystem::path& folder,
                                        const LoadOptions& options) {
  const ModelConfig config = read_model_config(folder);
  const Checkpoint checkpoint(folder);
  checkpoint.require(expected_tensors(config), permitted_extras(config));
  require_memory(config, options, folder);
  require_tied_head(checkpoint, config);
  const at::NoGradGuard no_grad;
  return build_model(config, [&](const std::string& name, at::IntArrayRef shape) {
    return checkpoint.load(name, shape, options.dtype, options.device);
  });
}

}  // namespace preimage::lm
