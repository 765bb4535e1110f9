// Random numbers one after another, from a stream that is keyed by what they are for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/base/random.hpp"

namespace preimage::ips {

class Draws {
 public:
  Draws(uint64_t seed, const std::string& unit, const std::string& purpose)
      : stream_(seed, unit, purpose) {}
  double uniform() { return stream_.uniform(at_++); }
  bool chance(double p) { return uniform() < p; }
  // [0, bound); bound > 0.
  int64_t below(int64_t bound) {
    return static_cast<int64_t>(stream_.below(static_cast<uint64_t>(bound), at_++));
  }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[static_cast<size_t>(below(std::ssize(from)))];
  }
  // A shuffle of 0..count-1 (Fisher-Yates).
  std::vector<int64_t> permutation(int64_t count) {
    std::vector<int64_t> out(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) out[static_cast<size_t>(i)] = i;
    for (int64_t i = count - 1; i > 0; --i)
      std::swap(out[static_cast<size_t>(i)], out[static_cast<size_t>(below(i + 1))]);
    return out;
  }

 private:
  base::RandomStream stream_;
  uint64_t at_ = 0;
};

}  // namespace preimage::ips
