// The text of a growing completion, and where a stop string begins in it.
#pragma once

#include <string>
#include <vector>

#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::lm {

class StopWatcher {
 public:
  // Both must outlive the watcher.
  StopWatcher(const text::Tokenizer& tokenizer, const std::vector<std::string>& stop);
  // Whether the text now holds a stop string; it ends before the first one.
  bool push(int64_t id);
  bool found() const { return found_; }
  // After a stop string: the text before it, empty where the text began with it.
  const std::string& text() const { return text_; }

 private:
  const text::Tokenizer& tokenizer_;
  text::StreamDecoder decoder_;
  const std::vector<std::string>& stop_;
  size_t longest_ = 1;
  std::string text_;
  bool found_ = false;
};

}  // namespace preimage::lm
