#include "report/text_cosine.hpp"

#include <algorithm>
#include <limits>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::dcm {
namespace {

// Texts that are embedded at once.
constexpr size_t kBatch = 32;

}  // namespace

TextCosine::TextCosine(const std::filesystem::path& folder)
    : embedder_(folder, lm::TextEmbedder::usual_pooling(folder)),
      tokenizer_(text::load_tokenizer(embedder_.model_folder())) {
  if (tokenizer_.plain_id_limit() > embedder_.vocabulary()) {
    throw base::data_error(base::str(folder.string(), ": its tokenizer has ids up to ",
                                     tokenizer_.plain_id_limit() - 1,
                                     ", config.json says vocab_size ", embedder_.vocabulary(),
                                     "; they belong to different models"));
  }
}

void TextCosine::load(at::Device device) {
  embedder_.load({.dtype = at::kFloat, .device = device});
}

lm::SentenceTokens TextCosine::tokens(const std::string& text) const {
  auto out = embedder_.tokens(tokenizer_, text);
  const auto context = static_cast<size_t>(embedder_.context());
  if (context > 0 && out.ids.size() > context) out.ids.resize(context);
  return out;
}

std::vector<double> TextCosine::of(const std::vector<Pair>& pairs) const {
  std::vector<lm::SentenceTokens> lists;  // two for each pair in `known`
  std::vector<size_t> known;
  for (size_t i = 0; i < pairs.size(); ++i) {
    auto first = tokens(pairs[i].first), second = tokens(pairs[i].second);
    if (first.ids.empty() || second.ids.empty()) continue;
    known.push_back(i);
    lists.push_back(std::move(first)), lists.push_back(std::move(second));
  }
  std::vector<double> out(pairs.size(), std::numeric_limits<double>::quiet_NaN());
  for (size_t begin = 0; begin < lists.size(); begin += kBatch) {
    const size_t end = std::min(begin + kBatch, lists.size());
    const auto at = [&](size_t i) { return lists.begin() + static_cast<std::ptrdiff_t>(i); };
    const auto vectors = embedder_.embed({at(begin), at(end)}).to(at::kDouble);
    for (size_t i = begin; i < end; i += 2) {
      const auto a = vectors[static_cast<int64_t>(i - begin)],
                 b = vectors[static_cast<int64_t>(i - begin) + 1];
      out[known[i / 2]] = (at::dot(a, b) / (a.norm() * b.norm())).item<double>();
    }
  }
  return out;
}

}  // namespace preimage::dcm
