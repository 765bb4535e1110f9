#include "preimage/lm/t5/vec2text.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "encoder/encoder_config.hpp"
#include "preimage/base/error.hpp"
#include "preimage/nn/activations.hpp"
#include "preimage/nn/layers.hpp"
#include "t5/checkpoint.hpp"
#include "t5/vec2text_config.hpp"

namespace preimage::lm {
namespace {

constexpr double kLayerNormEps = 1e-5;  // torch.nn.LayerNorm's

}  // namespace

Vec2Text::Vec2Text(const Vec2TextConfig& config, const TensorSource& source)
    : config_(config), t5_(std::make_shared<T5Model>(config.t5, source, kVec2TextPrefix)) {
  const int64_t d = config.embedding_size, b = config.bottleneck, width = config.t5.hidden_size;
  const int64_t out = config.repeat_tokens * width;
  for (const auto& name : transform_names(config)) {
    transforms_.push_back(
        {nn::Weight(source(name + ".0.weight", {b, d}), source(name + ".0.bias", {b})),
         nn::Weight(source(name + ".3.weight", {out, b}), source(name + ".3.bias", {out}))});
  }
  if (!config.corrector) return;
  norm_weight_ = source("layernorm.weight", {width});
  norm_bias_ = source("layernorm.bias", {width});
}

// One embedding at a time: float32 products on a GPU are not independent of the number of rows.
at::Tensor Vec2Text::projected(const at::Tensor& embedding, const Transform& transform) const {
  base::check(embedding.dim() == 1 && embedding.size(0) == config_.embedding_size,
              "an embedding has the width that the model was trained with");
  const auto row = embedding.to(t5_->device(), t5_->dtype()).unsqueeze(0);
  const auto out = nn::linear(nn::gelu(nn::linear(row, transform.in)), transform.out);
  return out.view({config_.repeat_tokens, -1});
}

at::Tensor Vec2Text::inversion_inputs(const at::Tensor& embedding) const {
  base::check(!config_.corrector, "an inversion model reads an embedding alone");
  const at::NoGradGuard no_grad;
  return projected(embedding, transforms_[0]);
}

at::Tensor Vec2Text::corrector_inputs(const at::Tensor& embedding, const at::Tensor& hypothesis,
                                      const std::vector<int64_t>& hypothesis_ids) const {
  base::check(config_.corrector, "a corrector reads an embedding and a hypothesis");
  const at::NoGradGuard no_grad;
  const auto target = embedding.to(at::kFloat);
  const auto found = config_.ignore_hypothesis ? target : hypothesis.to(at::kFloat);
  const auto embed = [&](const std::vector<int64_t>& ids) {
    return t5_->encoder().embed(at::tensor(ids, at::kLong).to(t5_->device()));
  };
  const auto separator = embed({config_.t5.separator_id});
  auto rows = at::cat(
      {separator, projected(target, transforms_[0]), separator, projected(found, transforms_[2]),
       separator, projected(target - found, transforms_[1]), separator, embed(hypothesis_ids)});
  rows = at::layer_norm(rows, {rows.size(1)}, norm_weight_, norm_bias_, kLayerNormEps);
  // The mask hides start and padding tokens, which still take a place.
  const auto first = rows.size(0) - static_cast<int64_t>(hypothesis_ids.size());
  for (size_t i = 0; i < hypothesis_ids.size(); ++i) {
    if (hypothesis_ids[i] == config_.t5.pad_id) rows[first + static_cast<int64_t>(i)].fill_(NAN);
  }
  return rows;
}

std::shared_ptr<const Vec2Text> load_vec2text(const std::filesystem::path& folder,
                                              const LoadOptions& options) {
  auto config = read_vec2text_config(folder);
  const Checkpoint checkpoint(folder);
  const T5Checkpoint t5(checkpoint, config.t5, kVec2TextPrefix);
  auto expected = t5.expected(config.t5, T5Part::whole);
  auto permitted = t5.permitted(T5Part::whole);
  for (auto& entry : vec2text_tensors(config)) expected.push_back(std::move(entry));
  // The embedder travels with an inversion model; it is loaded from its own folder.
  for (const auto& tensor : checkpoint.tensors()) {
    if (tensor.name.starts_with("embedder.")) permitted.push_back(tensor.name);
  }
  checkpoint.require(expected, permitted);
  require_memory(weight_bytes(expected, options), options, folder);
  const at::NoGradGuard no_grad;
  return std::make_shared<Vec2Text>(config, t5.source(options));
}

}  // namespace preimage::lm
