// The question-answer pairs of a run, tokenized.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config.hpp"
#include "preimage/lm/checkpoint/model_config.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::dcm {

struct Paraphrases {
  std::vector<std::vector<int64_t>> questions, answers;  // EOS included where it is appended
  bool empty() const { return questions.empty() && answers.empty(); }
};

struct Pair {
  int64_t index = 0;  // place in the draw
  std::string id, article;
  std::string question, answer, context;
  std::vector<int64_t> question_ids, answer_ids;  // EOS included where it is appended
  Paraphrases paraphrases;
};

// What the tokenizer and the config fix for all pairs.
struct Vocabulary {
  int64_t mode_question = 0, mode_answer = 0;  // ids of the mode tokens
  int64_t eos = -1;                            // -1: none is appended
  int64_t bos = -1;
  std::vector<int64_t> stop_ids;   // end a decode
  std::vector<int64_t> plain_ids;  // ids that are no special token, ascending
};

// ExitCode::bad_data or bad_config when a mode is not one token, or the tokenizer has ids that the
// model has no row for.
Vocabulary make_vocabulary(const DcmConfig& config, const text::Tokenizer& tokenizer,
                           const lm::ModelConfig& model);

// Reads, tokenizes, applies the limits and draws `config.data.count` pairs. ExitCode::bad_data when
// there are fewer, when a pair with K vectors does not fit the model's context, or when the file of
// paraphrases has none for any of them.
std::vector<Pair> load_pairs(const DcmConfig& config, const text::Tokenizer& tokenizer,
                             const Vocabulary& vocabulary, const lm::ModelConfig& model);

// Which pairs have no paraphrases, in a sentence; "" when all have some or none are asked for.
std::string paraphrase_note(const std::vector<Pair>& pairs, const DcmConfig& config);

}  // namespace preimage::dcm
