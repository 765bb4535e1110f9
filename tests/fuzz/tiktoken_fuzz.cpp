// Any bytes behind the 256 single bytes as a tiktoken file: what it encodes it decodes.
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace {

// One line for each single byte.
std::string single_bytes() {
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (int byte = 0; byte < 256; ++byte) {
    out += preimage::base::str(kAlphabet[byte >> 2], kAlphabet[(byte & 3) << 4], "== ", byte, "\n");
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace base = preimage::base;
  static const std::string head = single_bytes();
  try {
    const auto tokenizer = preimage::text::parse_tiktoken(
        head + std::string(reinterpret_cast<const char*>(data), size),
        R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        "fuzz.tiktoken");
    for (const char* text :
         {"", "Hello, world's 123\r\n  \xC3\xA9\xE6\xBC\xA2 ", "aaaaaaaaaa\t\n"}) {
      base::check(tokenizer.decode(tokenizer.encode(text)) == text, "decode inverts encode");
    }
  } catch (const base::Error& error) {
    if (error.code() != base::ExitCode::bad_data) throw;
  }
  return 0;
}
