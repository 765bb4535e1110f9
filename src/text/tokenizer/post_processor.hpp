// Post-processors: the ids that a checkpoint puts around one sequence (tokenizer.json
// "post_processor").
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "preimage/base/json_node.hpp"

namespace preimage::text {

class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  virtual void add_special(std::vector<int64_t>& ids) const = 0;
};

// A new kind is one line in the list of post_processor.cpp.
std::unique_ptr<const PostProcessor> make_post_processor(const base::JsonNode& node);

}  // namespace preimage::text
