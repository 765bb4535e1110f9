#include "preimage/base/sha256.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cerrno>
#include <fstream>
#include <vector>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"

namespace preimage::base {
namespace {

constexpr size_t kFileBlock = 1 << 20;

// Looked up once: a lookup costs more than the hash of a short text. The configuration file of the
// machine is left alone; what a hash is does not depend on it.
const EVP_MD* method() {
  static const EVP_MD* const found = [] {
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, nullptr);
    return EVP_MD_fetch(nullptr, "SHA256", nullptr);
  }();
  check(found != nullptr, "libcrypto has SHA-256");
  return found;
}

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}  // namespace

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, ContextDeleter> context{EVP_MD_CTX_new()};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  check(state_->context != nullptr && EVP_DigestInit_ex(state_->context.get(), method(), nullptr),
        "libcrypto begins a hash");
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) {
  check(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1,
        "libcrypto goes on with a hash");
}

std::array<uint8_t, 32> Sha256::finish() {
  std::array<uint8_t, 32> out;
  unsigned int size = 0;
  check(EVP_DigestFinal_ex(state_->context.get(), out.data(), &size) == 1 && size == out.size(),
        "libcrypto ends a hash");
  return out;
}

std::string hex(const uint8_t* bytes, size_t count) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * count);
  for (size_t i = 0; i < count; ++i) {
    out += digits[bytes[i] >> 4];
    out += digits[bytes[i] & 15];
  }
  return out;
}

std::array<uint8_t, 32> sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

std::string sha256_hex(std::string_view bytes) {
  const auto digest = sha256(bytes);
  return hex(digest.data(), digest.size());
}

std::string sha256_hex_of_file(const std::filesystem::path& path) {
  require_regular_file(path);
  std::ifstream in(path, std::ios::binary);
  if (!in) throw errno_error(path.string() + ": cannot be read", errno);
  Sha256 hash;
  std::vector<char> buffer(kFileBlock);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    hash.update({buffer.data(), static_cast<size_t>(in.gcount())});
  }
  if (in.bad()) throw errno_error(path.string() + ": read failed", errno);
  const auto digest = hash.finish();
  return hex(digest.data(), digest.size());
}

}  // namespace preimage::base
