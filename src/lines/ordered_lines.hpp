// Results that come in any order, given on in the order of their places, each as soon as all before
// it are there.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace preimage::lines {

class OrderedLines {
 public:
  using Write = std::function<void(const std::string& text)>;
  OrderedLines(size_t count, Write write) : waiting_(count), write_(std::move(write)) {}

  // The text of one place, whole lines with their "\n"; each place once. What it completes is
  // written in one call.
  void add(size_t place, std::string text);
  size_t written() const { return next_; }  // places
  bool complete() const { return next_ == waiting_.size(); }

 private:
  std::vector<std::optional<std::string>> waiting_;
  size_t next_ = 0;
  Write write_;
};

}  // namespace preimage::lines
