// Training text as token ids.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/lm/train/train.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::finetune {

struct TrainingText {
  std::vector<lm::TrainDocument> documents;
  double bytes_per_token = 1;  // of the predicted text, end-of-text tokens counted as tokens
};

// Reads JSON lines of {"text"} or {"prompt", "completion"}. Throws ExitCode::bad_data.
TrainingText read_training_text(const std::string& path, const text::Tokenizer& tokenizer,
                                int64_t end_of_text);

}  // namespace preimage::finetune
