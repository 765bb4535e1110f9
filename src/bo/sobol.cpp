#include "preimage/bo/sobol.hpp"

#include <ATen/ATen.h>

#include <array>
#include <bit>
#include <vector>

#include "preimage/base/error.hpp"

namespace preimage::bo {
namespace {

constexpr int64_t kBits = 30;

// Direction numbers [dimensions, kBits], the first bit of a fraction highest.
at::Tensor direction_numbers(int64_t dimensions) {
  base::check(dimensions > 0 && dimensions <= sobol_max_dimensions,
              "Sobol's sequence has between 1 and 21201 dimensions");
  auto state = at::zeros({dimensions, kBits}, at::kLong);
  at::_sobol_engine_initialize_state_(state, dimensions);
  return state;
}

// A lower triangular matrix over bits with a diagonal of ones, applied to each direction number:
// bit k of the result is the parity of row k and the bits above.
void scramble(int64_t* directions, int64_t dimension, const base::RandomStream& random) {
  std::array<uint32_t, kBits> rows{};
  for (int64_t k = 0; k < kBits; ++k) {  // k counts from the highest bit
    const uint32_t diagonal = uint32_t{1} << (kBits - 1 - k);
    const uint32_t above = ((uint32_t{1} << kBits) - 1) & ~(2 * diagonal - 1);
    const uint32_t drawn = random.bits(static_cast<uint64_t>(dimension * (kBits + 1) + k));
    rows[k] = (drawn & above) | diagonal;
  }
  for (int64_t j = 0; j < kBits; ++j) {
    const auto number = static_cast<uint32_t>(directions[j]);
    uint32_t out = 0;
    for (int64_t k = 0; k < kBits; ++k)
      out = 2 * out + (static_cast<uint32_t>(std::popcount(rows[k] & number)) & 1);
    directions[j] = out;
  }
}

at::Tensor points(int64_t count, at::Tensor directions, const std::vector<uint32_t>& shift) {
  base::check(count >= 0 && count <= int64_t{1} << kBits,
              "Sobol's sequence has at most 2^30 points");
  const int64_t d = directions.size(0);
  auto out = at::empty({count, d}, at::kDouble);
  double* to = out.data_ptr<double>();
  const int64_t* numbers = directions.const_data_ptr<int64_t>();
  std::vector<uint32_t> state = shift;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t k = 0; k < d; ++k) to[i * d + k] = state[k] * 0x1.0p-30;
    const int bit = std::countr_one(static_cast<uint64_t>(i));  // that the Gray code changes
    if (bit >= kBits) break;
    for (int64_t k = 0; k < d; ++k) state[k] ^= static_cast<uint32_t>(numbers[k * kBits + bit]);
  }
  return out;
}

}  // namespace

at::Tensor sobol_points(int64_t count, int64_t dimensions) {
  return points(count, direction_numbers(dimensions), std::vector<uint32_t>(dimensions));
}

at::Tensor scrambled_sobol_points(int64_t count, int64_t dimensions,
                                  const base::RandomStream& random) {
  auto directions = direction_numbers(dimensions);
  std::vector<uint32_t> shift(static_cast<size_t>(dimensions));
  for (int64_t k = 0; k < dimensions; ++k) {
    scramble(directions.data_ptr<int64_t>() + k * kBits, k, random);
    const auto element = static_cast<uint64_t>(k * (kBits + 1) + kBits);
    shift[k] = random.bits(element) >> (32 - kBits);
  }
  return points(count, directions, shift);
}

}  // namespace preimage::bo
