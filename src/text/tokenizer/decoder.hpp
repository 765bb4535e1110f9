// Decoders: from the tokens of a sequence back to text (tokenizer.json "decoder").
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "preimage/base/json_node.hpp"

namespace preimage::text {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Rewrites the list of texts; what is left at the end is joined without a separator. All are
  // well-formed UTF-8 before and after.
  virtual void apply(std::vector<std::string>& texts) const = 0;
};

// A new kind is one class and one line in the list of decoder.cpp.
std::unique_ptr<const Decoder> make_decoder(const base::JsonNode& node);

// The byte that a token "<0xXX>" stands for, or -1.
int byte_piece(const std::string& text);

}  // namespace preimage::text
