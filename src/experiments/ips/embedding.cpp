#include "embedding.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::ips {
namespace {

constexpr size_t kBatch = 32;  // texts that are embedded at once

}  // namespace

double cosine(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

std::shared_ptr<const TextEncoder> load_text_encoder(const std::filesystem::path& folder,
                                                     at::Device device) {
  lm::TextEmbedder embedder(folder, lm::TextEmbedder::usual_pooling(folder));
  auto tokenizer = text::load_tokenizer(embedder.model_folder());
  if (tokenizer.plain_id_limit() > embedder.vocabulary())
    throw base::data_error(base::str(folder.string(), ": its tokenizer has ids up to ",
                                     tokenizer.plain_id_limit() - 1,
                                     ", config.json says vocab_size ", embedder.vocabulary(),
                                     "; they belong to different models"));
  embedder.load({.dtype = at::kFloat, .device = device});
  return std::make_shared<const TextEncoder>(
      TextEncoder{std::move(embedder), std::move(tokenizer)});
}

lm::SentenceTokens Embedding::tokens(const std::string& text) const {
  lm::SentenceTokens out;
  int64_t context = model_.model->config().max_position_embeddings;
  if (encoder_) {
    out = encoder_->embedder.tokens(encoder_->tokenizer, text);
    context = encoder_->embedder.context();
  } else {
    out.ids = model_.tokenizer.encode(text, {.parse_special = false});
  }
  if (context > 0 && std::ssize(out.ids) > context) out.ids.resize(static_cast<size_t>(context));
  return out;
}

std::vector<std::vector<float>> Embedding::raw(const std::vector<lm::SentenceTokens>& batch) const {
  at::Tensor rows;
  if (encoder_) {
    rows = encoder_->embedder.embed(batch);
  } else {
    const at::NoGradGuard no_grad;
    std::vector<int64_t> packed, lengths;
    for (const auto& text : batch) {
      packed.insert(packed.end(), text.ids.begin(), text.ids.end());
      lengths.push_back(std::ssize(text.ids));
    }
    const auto& model = *model_.model;
    const auto packing = nn::make_packing(lengths, model.device());
    const auto states = model.hidden(model.embed(at::tensor(packed, at::kLong).to(model.device())),
                                     nn::PackedAttention(packing));
    rows = lm::pool(states, packing, lm::PoolingMode::mean).cpu();
  }
  rows = rows.contiguous();
  std::vector<std::vector<float>> out;
  const auto* values = rows.const_data_ptr<float>();
  for (int64_t r = 0; r < rows.size(0); ++r)
    out.emplace_back(values + r * rows.size(1), values + (r + 1) * rows.size(1));
  return out;
}

std::vector<Vector> Embedding::operator()(const std::vector<std::string>& texts) const {
  std::vector<lm::SentenceTokens> known;
  std::vector<size_t> places;
  for (size_t i = 0; i < texts.size(); ++i) {
    auto ids = tokens(texts[i]);
    if (ids.ids.empty()) continue;
    known.push_back(std::move(ids));
    places.push_back(i);
  }
  std::vector<Vector> out(texts.size());
  size_t width = 0;
  for (size_t begin = 0; begin < known.size(); begin += kBatch) {
    const size_t end = std::min(begin + kBatch, known.size());
    const auto rows = raw({known.begin() + static_cast<std::ptrdiff_t>(begin),
                           known.begin() + static_cast<std::ptrdiff_t>(end)});
    for (size_t r = 0; r < rows.size(); ++r) {
      Vector vector(rows[r].begin(), rows[r].end());
      const double norm = std::sqrt(cosine(vector, vector));
      for (auto& value : vector) value = norm > 0 ? value / norm : 0;
      width = vector.size();
      out[places[begin + r]] = std::move(vector);
    }
  }
  for (auto& vector : out) vector.resize(width, 0.0);
  return out;
}

}  // namespace preimage::ips
