#include "seq2seq.hpp"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::tools {

bool Seq2Seq::prepare(const std::filesystem::path& folder) {
  folder_ = folder;
  lm::T5Config t5;
  if (lm::is_vec2text_folder(folder)) {
    config_ = lm::read_vec2text_config(folder);
    t5 = config_->t5;
  } else if (lm::is_t5_folder(folder)) {
    t5 = lm::read_t5_config(folder);
  } else {
    return false;
  }
  here_ = true;
  tokens_.family = config_ ? "vec2text" : "t5";
  tokens_.hidden_size = t5.hidden_size;
  tokens_.vocab_size = t5.vocab_size;
  tokens_.eos_ids = t5.eos_ids;
  tokens_.pad_id = t5.pad_id;
  tokens_.notes = t5.notes;
  // Relative positions have no end; the limit only keeps sums of lengths from overflowing.
  tokens_.max_position_embeddings = std::numeric_limits<int32_t>::max();
  return true;
}

void Seq2Seq::load(const lm::LoadOptions& options) {
  if (config_) {
    vec2text_ = lm::load_vec2text(folder_, options);
  } else {
    t5_ = lm::load_t5(folder_, options);
  }
}

std::vector<float> Seq2Seq::vector_of(const base::JsonNode& line, const char* name) const {
  const auto given = line.find(name);
  if (!given) return {};
  if (static_cast<int64_t>(given->size()) != config_->embedding_size)
    given->fail(base::str("found ", given->size(), " numbers, the model's embeddings have ",
                          config_->embedding_size));
  std::vector<float> out;
  for (size_t i = 0; i < given->size(); ++i) {
    out.push_back(static_cast<float>(given->at(i).number()));
    if (!std::isfinite(out.back())) given->fail("holds numbers that are not finite");
  }
  return out;
}

EmbeddingFields Seq2Seq::read_embedding(const base::JsonNode& line) const {
  if (!reads_embeddings()) {
    for (const char* name : {"embedding", "hypothesis_embedding"}) {
      if (const auto given = line.find(name))
        given->fail("is read by vec2text models alone, and this is none");
    }
    return {};
  }
  EmbeddingFields out{vector_of(line, "embedding"), vector_of(line, "hypothesis_embedding")};
  if (out.embedding.empty()) line.fail("found no \"embedding\", which a vec2text model inverts");
  if (config_->corrector == out.hypothesis.empty()) {
    line.fail(config_->corrector ? "found no \"hypothesis_embedding\", which a corrector compares"
                                 : "found \"hypothesis_embedding\", which only a corrector reads");
  }
  return out;
}

lm::SearchPrompt Seq2Seq::prompt(std::vector<int64_t> ids, const EmbeddingFields& fields) const {
  if (!vec2text_) return {std::move(ids), {}};
  const auto embedding = at::tensor(fields.embedding, at::kFloat);
  if (!config_->corrector) return {{}, vec2text_->inversion_inputs(embedding)};
  return {{},
          vec2text_->corrector_inputs(embedding, at::tensor(fields.hypothesis, at::kFloat), ids)};
}

}  // namespace preimage::tools
