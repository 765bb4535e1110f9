// Texts to vectors with any checkpoint that has hidden states, an encoder or a decoder: by the
// pipeline that its folder describes, or by bare pooling. One for the tool `embed` and for whoever
// compares texts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/encoder/encoder.hpp"
#include "preimage/lm/encoder/sentence_pipeline.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::lm {

class TextEmbedder {
 public:
  // pipeline where the folder has a modules.json, else mean.
  static std::string usual_pooling(const std::filesystem::path& folder);

  // Reads config.json and what modules.json names, no weights. `pooling`: pipeline (exactly what
  // modules.json says) | mean (over all tokens) | first (the first token). ExitCode::bad_config or
  // bad_data: what is missing or wrong.
  TextEmbedder(std::filesystem::path folder, const std::string& pooling);
  void load(const LoadOptions& options);

  // An encoder's text is a sentence: special tokens belong around it.
  bool encodes() const { return encodes_; }
  const std::optional<SentencePipeline>& pipeline() const { return pipeline_; }
  int64_t vocabulary() const { return vocabulary_; }
  int64_t context() const { return context_; }  // positions that the model has; 0: no limit
  // Where the model and its tokenizer lie: the folder, or that of its pipeline's first module.
  const std::filesystem::path& model_folder() const { return model_folder_; }
  // The tokens of a text as the pipeline makes them, its default prompt in front; without a
  // pipeline the text's own, around it the special tokens that an encoder expects.
  SentenceTokens tokens(const text::Tokenizer& tokenizer, const std::string& text) const;
  // The same with another prompt; of a pipeline alone.
  SentenceTokens tokens(const text::Tokenizer& tokenizer, const std::string& prompt,
                        const std::string& text) const;
  // What the user is told, after load(): a line each.
  std::vector<std::string> notes() const;

  // One row for each text, none of them empty: [texts, width] float32 on the CPU. A row's bits do
  // not depend on the others. No gradient.
  at::Tensor embed(const std::vector<SentenceTokens>& texts) const;

 private:
  at::Tensor hidden(const at::Tensor& ids, const nn::Packing& packing) const;

  std::filesystem::path folder_, model_folder_;
  PoolingMode bare_ = PoolingMode::mean;
  bool encodes_ = false;
  int64_t vocabulary_ = 0, context_ = 0;
  std::optional<SentencePipeline> pipeline_;
  std::shared_ptr<const Encoder> encoder_;
  std::shared_ptr<const Model> decoder_;
};

}  // namespace preimage::lm
