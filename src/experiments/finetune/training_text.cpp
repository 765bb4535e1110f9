#include "training_text.hpp"

#include <ATen/Parallel.h>

#include "preimage/data/corpus.hpp"

namespace preimage::finetune {
namespace {

lm::TrainDocument tokenize(const data::TrainingText& text, const text::Tokenizer& tokenizer,
                           int64_t end_of_text) {
  lm::TrainDocument document;
  const auto append = [&](const std::string& part) {
    const auto ids = tokenizer.encode(part);
    document.ids.insert(document.ids.end(), ids.begin(), ids.end());
  };
  append(text.prompt);
  document.first_target = static_cast<int64_t>(document.ids.size());
  append(text.completion);
  document.ids.push_back(static_cast<int32_t>(end_of_text));
  return document;
}

}  // namespace

TrainingText read_training_text(const std::string& path, const text::Tokenizer& tokenizer,
                                int64_t end_of_text) {
  const auto texts = data::read_corpus(path);
  const auto count = static_cast<int64_t>(texts.size());
  TrainingText out;
  out.documents.resize(texts.size());
  at::parallel_for(0, count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      out.documents[i] = tokenize(texts[i], tokenizer, end_of_text);
  });
  double bytes = 0, tokens = 0;
  for (int64_t i = 0; i < count; ++i) {
    bytes += static_cast<double>(texts[i].completion.size());
    tokens += static_cast<double>(std::ssize(out.documents[i].ids) - out.documents[i].first_target);
  }
  out.bytes_per_token = bytes / tokens;
  return out;
}

}  // namespace preimage::finetune
