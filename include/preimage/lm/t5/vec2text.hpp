// vec2text (Morris et al. 2023): a T5 that writes the text whose embedding is given, and one that
// corrects a text towards it. Both turn embeddings into encoder inputs; T5 does the rest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/t5/t5.hpp"

namespace preimage::lm {

struct Vec2TextConfig {
  T5Config t5;
  bool corrector = false;
  bool one_transform = false;  // of an old corrector, which has one for all three inputs
  int64_t embedding_size = 0, bottleneck = 0;
  int64_t repeat_tokens = 16;      // encoder tokens made of one embedding
  int64_t max_tokens = 128;        // of a text: max_seq_length
  std::string embedder;            // "gtr_base": mean-pooled GTR without its Dense and Normalize
  bool ignore_hypothesis = false;  // the "no feedback" ablation of the corrector
};

class Vec2Text {
 public:
  Vec2Text(const Vec2TextConfig& config, const TensorSource& source);
  const Vec2TextConfig& config() const { return config_; }
  const T5Model& t5() const { return *t5_; }

  // Embedding [d] float32 -> encoder inputs [repeat_tokens, D] of the inversion model.
  at::Tensor inversion_inputs(const at::Tensor& embedding) const;

  // What the corrector reads: the target, what the present text gives, and the text as it was
  // generated -> encoder inputs [4 + 3 repeat_tokens + ids, D]. Rows of start and padding tokens,
  // which its mask hides, are NaN: generate and beam_search take them as places that nobody sees.
  at::Tensor corrector_inputs(const at::Tensor& embedding, const at::Tensor& hypothesis,
                              const std::vector<int64_t>& hypothesis_ids) const;

 private:
  struct Transform {
    nn::Weight in, out;
  };
  at::Tensor projected(const at::Tensor& embedding, const Transform& transform) const;

  Vec2TextConfig config_;
  std::shared_ptr<const T5Model> t5_;
  // Of the inversion model one; of the corrector those of the target, the difference and the
  // hypothesis (embedding_transform_1, _2 and _3).
  std::vector<Transform> transforms_;
  at::Tensor norm_weight_, norm_bias_;  // [D], corrector
};

bool is_vec2text_folder(const std::filesystem::path& folder);
// The sizes of its T5 are those of its tensors: config.json only names the model it was made from.
Vec2TextConfig read_vec2text_config(const std::filesystem::path& folder);
std::shared_ptr<const Vec2Text> load_vec2text(const std::filesystem::path& folder,
                                              const LoadOptions& options);

}  // namespace preimage::lm
