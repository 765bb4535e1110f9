#include "generate/stop_watcher.hpp"

#include <algorithm>

namespace preimage::lm {

StopWatcher::StopWatcher(const text::Tokenizer& tokenizer, const std::vector<std::string>& stop)
    : tokenizer_(tokenizer), decoder_(tokenizer), stop_(stop) {
  for (const auto& one : stop) longest_ = std::max(longest_, one.size());
}

bool StopWatcher::push(int64_t id) {
  const size_t searched = text_.size() < longest_ ? 0 : text_.size() - longest_ + 1;
  text_ += decoder_.push(id);
  size_t first = std::string::npos;
  for (const auto& one : stop_) first = std::min(first, text_.find(one, searched));
  if (first == std::string::npos) return false;
  text_ = tokenizer_.cleaned(text_.substr(0, first));
  found_ = true;
  return true;
}

}  // namespace preimage::lm
