// SHA-256 (FIPS 180-4), for unit ids, run identities and hashes of inputs.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace preimage::base {

class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  std::array<uint8_t, 32> finish();  // the object is spent afterwards

 private:
  void block(const uint8_t* data);
  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> buffer_{};
  size_t buffered_ = 0;
  uint64_t total_ = 0;
};

std::array<uint8_t, 32> sha256(std::string_view bytes);
std::string sha256_hex(std::string_view bytes);
// Throws ExitCode::bad_data unless it is a regular file, ExitCode::io when reading fails.
std::string sha256_hex_of_file(const std::filesystem::path& path);
std::string hex(const uint8_t* bytes, size_t count);

// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), as in RFC 3720 B.4.
uint32_t crc32c(std::string_view bytes, uint32_t seed = 0);

}  // namespace preimage::base
