#include "preimage/lm/encoder/encoder.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "encoder/bert.hpp"
#include "encoder/encoder_config.hpp"
#include "preimage/base/error.hpp"
#include "t5/checkpoint.hpp"
#include "t5/stack.hpp"

namespace preimage::lm {
namespace {

// Names that a BERT folder may hold beside its encoder: the pooler, heads of its pretraining, and
// the numbers 0 to 511 of old exports.
std::vector<std::string> permitted_of_bert(const Checkpoint& checkpoint,
                                           const std::string& prefix) {
  std::vector<std::string> names = {prefix + "embeddings.position_ids"};
  for (const auto& tensor : checkpoint.tensors()) {
    if (tensor.name.starts_with(prefix + "pooler.") || tensor.name.starts_with("cls."))
      names.push_back(tensor.name);
  }
  return names;
}

std::shared_ptr<const Encoder> load_bert(const std::filesystem::path& folder,
                                         const LoadOptions& options) {
  const auto config = read_bert_config(folder);
  const Checkpoint checkpoint(folder);
  const std::string prefix =
      checkpoint.has("bert.embeddings.word_embeddings.weight") ? "bert." : "";
  auto expected = bert_tensors(config);
  for (auto& [name, shape] : expected) name = prefix + name;
  checkpoint.require(expected, permitted_of_bert(checkpoint, prefix));
  require_memory(weight_bytes(expected, options), options, folder);
  const at::NoGradGuard no_grad;
  return std::make_shared<Bert>(config, [&](const std::string& name, at::IntArrayRef shape) {
    return checkpoint.load(prefix + name, shape, options.dtype, options.device);
  });
}

std::shared_ptr<const Encoder> load_t5_encoder(const std::filesystem::path& folder,
                                               const LoadOptions& options) {
  auto config = read_t5_config(folder);
  const Checkpoint checkpoint(folder);
  const T5Checkpoint tensors(checkpoint, config, "");
  const auto expected = tensors.expected(config, T5Part::encoder);
  checkpoint.require(expected, tensors.permitted(T5Part::encoder));
  require_memory(weight_bytes(expected, options), options, folder);
  const at::NoGradGuard no_grad;
  const auto source = tensors.source(options);
  const auto embedding = source("shared.weight", {config.vocab_size, config.hidden_size});
  return std::make_shared<T5Encoder>(config, embedding, T5Source{source, "encoder."});
}

}  // namespace

bool is_encoder_folder(const std::filesystem::path& folder) {
  const auto type = model_type_of_folder(folder);
  return type == "t5" || type == "bert";
}

EncoderConfig read_encoder_config(const std::filesystem::path& folder) {
  if (model_type_of_folder(folder) == "bert") {
    const auto bert = read_bert_config(folder);
    return {.family = "bert",
            .hidden_size = bert.hidden_size,
            .vocab_size = bert.vocab_size,
            .max_tokens = bert.max_positions};
  }
  const auto t5 = read_t5_config(folder);
  return {.family = "t5", .hidden_size = t5.hidden_size, .vocab_size = t5.vocab_size};
}

std::shared_ptr<const Encoder> load_encoder(const std::filesystem::path& folder,
                                            const LoadOptions& options) {
  return model_type_of_folder(folder) == "bert" ? load_bert(folder, options)
                                                : load_t5_encoder(folder, options);
}

}  // namespace preimage::lm
