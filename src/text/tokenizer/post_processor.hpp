// Post-processors: the ids that a checkpoint puts around one sequence (tokenizer.json
// "post_processor").
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "tokenizer/pieces.hpp"

namespace preimage::text {

// A token as it is written, and the bytes of the input that it stands for.
struct TokenPlace {
  std::string token;
  Span span;
};

class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  virtual void add_special(std::vector<int64_t>& ids) const = 0;
  // Moves the places of the tokens of `text`.
  virtual void trim(std::string_view text, std::vector<TokenPlace>& places) const {
    (void)text, (void)places;
  }
};

// A new kind is one line in the list of post_processor.cpp.
std::unique_ptr<const PostProcessor> make_post_processor(const base::JsonNode& node);

}  // namespace preimage::text
