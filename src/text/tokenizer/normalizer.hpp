// Normalizers: what happens to a stretch of text before it is cut (tokenizer.json "normalizer").
#pragma once

#include <memory>
#include <string>

#include "preimage/base/json_node.hpp"
#include "tokenizer/pieces.hpp"

namespace preimage::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Rewrites well-formed UTF-8 in place.
  virtual void apply(TrackedText& text) const = 0;
  void apply(std::string& text) const {
    TrackedText whole;
    whole.text = std::move(text);
    apply(whole);
    text = std::move(whole.text);
  }
};

// A new kind is one class and one line in the list of normalizer.cpp.
std::unique_ptr<const Normalizer> make_normalizer(const base::JsonNode& node);

std::unique_ptr<const Normalizer> make_bert_normalizer(const base::JsonNode& node);
std::unique_ptr<const Normalizer> make_byte_alphabet(const base::JsonNode& node);
std::unique_ptr<const Normalizer> make_nmt(const base::JsonNode& node);
std::unique_ptr<const Normalizer> make_precompiled(const base::JsonNode& node);
std::unique_ptr<const Normalizer> make_strip(const base::JsonNode& node);
std::unique_ptr<const Normalizer> make_strip_accents(const base::JsonNode& node);

void lowercase(TrackedText& text);  // character by character, as Rust's char::to_lowercase
void decompose(TrackedText& text);  // NFD

}  // namespace preimage::text
