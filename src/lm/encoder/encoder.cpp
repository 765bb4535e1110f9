#include "preimage/lm/encoder/encoder.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "encoder/bert.hpp"
#include "encoder/encoder_config.hpp"
#include "encoder/encoder_names.hpp"
#include "encoder/modernbert.hpp"
#include "preimage/base/error.hpp"
#include "t5/checkpoint.hpp"
#include "t5/stack.hpp"

namespace preimage::lm {
namespace {

// What the file of an encoder holds, which may be that of a model with a head.
struct FileContents {
  TensorList expected;
  std::string prefix;              // before the names where there is a head
  std::vector<std::string> parts;  // with which names of the encoder begin
};

template <class Model, class Config>
std::shared_ptr<const Encoder> load_as(const std::filesystem::path& folder,
                                       const LoadOptions& options, Config config,
                                       const FileContents& contents) {
  const Checkpoint checkpoint(folder);
  const EncoderNames names(checkpoint, contents.prefix);
  for (auto& note : names.require(contents.expected, contents.parts))
    config.notes.push_back(std::move(note));
  require_memory(weight_bytes(contents.expected, options), options, folder);
  const at::NoGradGuard no_grad;
  return std::make_shared<Model>(config, names.source(options));
}

std::shared_ptr<const Encoder> load_bert(const std::filesystem::path& folder,
                                         const LoadOptions& options) {
  const auto config = read_bert_config(folder);
  return load_as<Bert>(folder, options, config,
                       {bert_tensors(config), "bert.", {"embeddings.", "encoder."}});
}

std::shared_ptr<const Encoder> load_modernbert(const std::filesystem::path& folder,
                                               const LoadOptions& options) {
  const auto config = read_modernbert_config(folder);
  return load_as<ModernBert>(
      folder, options, config,
      {modernbert_tensors(config), "model.", {"embeddings.", "layers.", "final_norm."}});
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
  return type == "t5" || type == "bert" || type == "modernbert";
}

EncoderConfig read_encoder_config(const std::filesystem::path& folder) {
  const auto type = model_type_of_folder(folder);
  if (type == "modernbert") {
    const auto modern = read_modernbert_config(folder);
    return {.family = "modernbert",
            .hidden_size = modern.hidden_size,
            .vocab_size = modern.vocab_size,
            .max_tokens = modern.max_positions,
            .notes = modern.notes};
  }
  if (type == "bert") {
    const auto bert = read_bert_config(folder);
    return {.family = "bert",
            .hidden_size = bert.hidden_size,
            .vocab_size = bert.vocab_size,
            .max_tokens = bert.max_positions,
            .notes = bert.notes};
  }
  const auto t5 = read_t5_config(folder);
  return {.family = "t5",
          .hidden_size = t5.hidden_size,
          .vocab_size = t5.vocab_size,
          .notes = t5.notes};
}

std::shared_ptr<const Encoder> load_encoder(const std::filesystem::path& folder,
                                            const LoadOptions& options) {
  const auto type = model_type_of_folder(folder);
  if (type == "bert") return load_bert(folder, options);
  if (type == "modernbert") return load_modernbert(folder, options);
  return load_t5_encoder(folder, options);
}

}  // namespace preimage::lm
