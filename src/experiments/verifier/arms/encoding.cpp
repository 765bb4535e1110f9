#include "arms/encoding.hpp"

#include <algorithm>

#include "preimage/base/error.hpp"

namespace preimage::verifier {

ProgramEncoder::ProgramEncoder(const text::Tokenizer& tokenizer, int64_t max_tokens,
                               bool inner_border)
    : tokenizer_(tokenizer), max_tokens_(max_tokens), inner_border_(inner_border) {
  if (!tokenizer.special().eos)
    throw base::data_error(
        "the verifier's tokenizer names no eos_token in tokenizer_config.json; it marks the border"
        " between prompt and program");
  border_ = *tokenizer.special().eos;
}

EncodedProgram ProgramEncoder::encode(const std::string& prompt, const std::string& program) const {
  EncodedProgram out;
  auto head = tokenizer_.encode(prompt, {.parse_special = false});
  auto tail = tokenizer_.encode(program, {.parse_special = false});
  const auto room = static_cast<size_t>(max_tokens_ - 2);  // beside the two borders
  if (tail.size() > room) tail.resize(room), out.truncated = true;
  if (head.size() > room - tail.size()) {
    head.erase(head.begin(), head.end() - static_cast<std::ptrdiff_t>(room - tail.size()));
    out.truncated = true;
  }
  out.ids = std::move(head);
  // A program is never the beginning of a sequence: something must predict its first token.
  if (inner_border_ || out.ids.empty()) out.ids.push_back(border_);
  out.ids.insert(out.ids.end(), tail.begin(), tail.end());
  out.ids.push_back(border_);
  out.targets = static_cast<int64_t>(tail.size()) + 1;
  return out;
}

}  // namespace preimage::verifier
