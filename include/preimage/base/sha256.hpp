// SHA-256 (FIPS 180-4), for unit ids, run identities and hashes of inputs. OpenSSL's libcrypto
// computes it, by the processor's instructions where there are any.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace preimage::base {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::string_view bytes);
  std::array<uint8_t, 32> finish();  // the object is spent afterwards

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::array<uint8_t, 32> sha256(std::string_view bytes);
std::string sha256_hex(std::string_view bytes);
// Throws ExitCode::bad_data unless it is a regular file, ExitCode::io when reading fails.
std::string sha256_hex_of_file(const std::filesystem::path& path);
std::string hex(const uint8_t* bytes, size_t count);

}  // namespace preimage::base
