#include "preimage/base/random.hpp"

#include <cmath>
#include <cstring>
#include <numbers>
#include <numeric>
#include <utility>

#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"

namespace preimage::base {

PhiloxCounter philox4x32(PhiloxCounter c, PhiloxKey k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    k[0] += 0x9E3779B9;
    k[1] += 0xBB67AE85;
  }
  return c;
}

RandomStream::RandomStream(uint64_t seed, std::string_view unit, std::string_view purpose) {
  // Lengths keep ("ab", "c") and ("a", "bc") apart.
  const auto digest = sha256(str(seed, ":", unit.size(), ":", unit, ":", purpose));
  std::memcpy(key_.data(), digest.data(), sizeof key_);
  std::memcpy(upper_.data(), digest.data() + sizeof key_, sizeof upper_);
}

uint32_t RandomStream::bits(uint64_t element) const {
  const uint64_t block = element / 4;
  const PhiloxCounter counter = {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                                 upper_[0], upper_[1]};
  return philox4x32(counter, key_)[element % 4];
}

double RandomStream::uniform(uint64_t element) const {
  const uint64_t high = bits(2 * element), low = bits(2 * element + 1);
  return static_cast<double>((high << 32 | low) >> 11) * 0x1.0p-53;
}

double RandomStream::normal(uint64_t element) const {
  // Elements 2i and 2i+1 are the two halves of one Box-Muller pair.
  const uint64_t pair = element & ~uint64_t{1};
  const double radius = std::sqrt(-2 * std::log1p(-uniform(pair)));
  const double angle = 2 * std::numbers::pi * uniform(pair + 1);
  return radius * (element % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

uint64_t RandomStream::below(uint64_t bound, uint64_t element) const {
  check(bound > 0, "RandomStream::below has a bound above zero");
  // Each element owns 2^20 attempts of 64 bits; the chance to use them up is nil.
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  for (uint64_t attempt = 0;; ++attempt) {
    const uint64_t at = 2 * (element + (attempt << 40));
    const uint64_t value = uint64_t{bits(at)} << 32 | bits(at + 1);
    if (value < limit) return value % bound;
  }
}

std::vector<int64_t> RandomStream::permutation(int64_t count) const {
  std::vector<int64_t> out(static_cast<size_t>(count));
  std::iota(out.begin(), out.end(), int64_t{0});
  for (size_t i = out.size(); i > 1; --i) std::swap(out[i - 1], out[below(i, i)]);
  return out;
}

}  // namespace preimage::base
