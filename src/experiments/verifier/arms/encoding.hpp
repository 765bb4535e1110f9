// Prompt and program as the tokens of an energy model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::verifier {

struct ProgramState;

struct EncodedProgram {
  std::vector<int64_t> ids;
  int64_t targets = 0;  // at the end of ids: the program and the border behind it
  bool truncated = false;
  std::shared_ptr<const ProgramState> state;  // what Arm::prepare() kept; may be null
};

class ProgramEncoder {
 public:
  // The end-of-text token is the border: prompt, border, program, border. The last one belongs to
  // the program, so that an empty program has an energy too; without `inner_border` the program
  // follows its prompt at once, as the generator wrote it. ExitCode::bad_data when the tokenizer
  // names no such token.
  ProgramEncoder(const text::Tokenizer& tokenizer, int64_t max_tokens, bool inner_border = true);
  // A prompt that leaves no room loses its beginning; a program longer than `max_tokens` loses its
  // end, which may hide what is wrong with it. Special tokens inside are ordinary text.
  EncodedProgram encode(const std::string& prompt, const std::string& program) const;

 private:
  const text::Tokenizer& tokenizer_;
  int64_t max_tokens_;
  bool inner_border_;
  int64_t border_;
};

}  // namespace preimage::verifier
