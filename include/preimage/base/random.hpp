// Counter-based random numbers: every draw is a pure function of (run seed, unit, purpose,
// element), so the order of work, the number of ranks and a restart cannot change it.
// Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace preimage::base {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key);

class RandomStream {
 public:
  // `unit` is any text that names the piece of work (a unit id in hex), `purpose` what the numbers
  // are for ("init", "shuffle"); key and upper counter half are the SHA-256 of the three.
  RandomStream(uint64_t seed, std::string_view unit, std::string_view purpose);

  // Random access: the same element always gives the same value.
  uint32_t bits(uint64_t element) const;
  double uniform(uint64_t element) const;                  // [0, 1), 53 bits
  double normal(uint64_t element) const;                   // standard normal, Box-Muller
  uint64_t below(uint64_t bound, uint64_t element) const;  // [0, bound), unbiased (rejection)

  // A permutation of 0..count-1 (Fisher-Yates).
  std::vector<int64_t> permutation(int64_t count) const;

  PhiloxKey key() const { return key_; }
  std::array<uint32_t, 2> upper_counter() const { return upper_; }

 private:
  PhiloxKey key_;
  std::array<uint32_t, 2> upper_;
};

}  // namespace preimage::base
