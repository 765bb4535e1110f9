// Levenshtein distance of texts, fast enough to compare every passing program with every failing
// one.
#pragma once

#include <cstdint>
#include <string_view>

namespace preimage::verifier {

// Insertions, deletions and substitutions of bytes that turn `a` into `b`. Bit-parallel in blocks
// of 64 rows (Myers 1999; Hyyrö 2003): |a| |b| / 64 steps.
int64_t edit_distance(std::string_view a, std::string_view b);

}  // namespace preimage::verifier
