// Pre-tokenizers: they cut normalized text into the pieces that the model sees one by one.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "pieces.hpp"
#include "preimage/base/json_node.hpp"

namespace preimage::text {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Cuts each piece further; pieces never merge again.
  virtual void apply(Pieces& pieces) const = 0;
};

// A new kind is one class and one line in the list of pre_tokenizer.cpp.
std::unique_ptr<const PreTokenizer> make_pre_tokenizer(const base::JsonNode& node);

// The byte-level alphabet: byte -> code point. 0x21-0x7E, 0xA1-0xAC, 0xAE-0xFF stand for
// themselves, the other 68 in ascending order for U+0100, U+0101, ...
std::array<char32_t, 256> byte_alphabet();

}  // namespace preimage::text
