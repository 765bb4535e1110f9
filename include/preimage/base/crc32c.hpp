// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), as in RFC 3720 B.4: what a torn or flipped
// write shows by.
#pragma once

#include <cstdint>
#include <string_view>

namespace preimage::base {

// By the processor's instruction where it has one. `seed`: the value so far, to go on with.
uint32_t crc32c(std::string_view bytes, uint32_t seed = 0);
// The same by a table: the oracle, and the path of other processors.
uint32_t plain_crc32c(std::string_view bytes, uint32_t seed = 0);

}  // namespace preimage::base
