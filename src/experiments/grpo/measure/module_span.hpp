// Where each module's knobs lie in the flat vector of all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace preimage::grpo {

struct ModuleSpan {
  std::string module;  // "model.layers.3.self_attn.q_proj"
  std::string type;    // "q_proj"
  int64_t begin = 0, size = 0;

  template <class Value>
  std::span<Value> of(std::span<Value> flat) const {
    return flat.subspan(static_cast<size_t>(begin), static_cast<size_t>(size));
  }
};

// Rows of equal length, end to end.
class Rows {
 public:
  Rows() = default;
  Rows(int64_t count, int64_t size)
      : size_(size), values_(static_cast<size_t>(count) * static_cast<size_t>(size)) {}
  int64_t count() const { return size_ == 0 ? 0 : std::ssize(values_) / size_; }
  int64_t size() const { return size_; }
  std::span<float> row(int64_t i) {
    return std::span<float>(values_).subspan(static_cast<size_t>(i * size_),
                                             static_cast<size_t>(size_));
  }
  std::span<const float> row(int64_t i) const {
    return std::span<const float>(values_).subspan(static_cast<size_t>(i * size_),
                                                   static_cast<size_t>(size_));
  }
  void append(std::span<const float> row) { values_.insert(values_.end(), row.begin(), row.end()); }
  std::vector<float>& values() { return values_; }
  const std::vector<float>& values() const { return values_; }

 private:
  int64_t size_ = 0;
  std::vector<float> values_;
};

}  // namespace preimage::grpo
