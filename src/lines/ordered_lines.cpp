#include "ordered_lines.hpp"

#include "preimage/base/error.hpp"

namespace preimage::lines {

void OrderedLines::add(size_t place, std::string text) {
  base::check(place >= next_ && place < waiting_.size() && !waiting_[place],
              "each place of the output is filled once");
  waiting_[place] = std::move(text);
  std::string ready;
  while (next_ < waiting_.size() && waiting_[next_]) {
    ready += *waiting_[next_];
    waiting_[next_++]->clear();
  }
  if (!ready.empty()) write_(ready);
}

}  // namespace preimage::lines
