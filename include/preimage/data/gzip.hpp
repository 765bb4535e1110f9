// Compressed text files: published pools are JSON Lines under gzip. Reading is LineReader's.
#pragma once

#include <string>
#include <string_view>

namespace preimage::data {

// `bytes` as one gzip member without name and time: equal texts give equal bytes.
std::string gzip(std::string_view bytes);

}  // namespace preimage::data
