// Any bytes as a tokenizer.json; an accepted one encodes and decodes a few texts.
#include <cstdlib>
#include <cstring>

#include "preimage/base/error.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace text = preimage::text;
  try {
    const auto tokenizer =
        text::parse_tokenizer({reinterpret_cast<const char*>(data), size}, "tokenizer.json");
    for (const char* sample :
         {"", "Hello, world's 123\r\n  \xC3\xA9\xE6\xBC\xA2 <|a|>", "aaaaaaaaaa\t\n"}) {
      auto ids = tokenizer.encode(sample, {.add_special = true});
      const auto placed = tokenizer.encode_with_offsets(sample);
      if (placed.ids != tokenizer.encode(sample)) std::abort();
      for (const auto& [begin, end] : placed.offsets) {
        if (begin > end || end > std::strlen(sample)) std::abort();
      }
      ids.push_back(tokenizer.id_limit());
      ids.push_back(-1);
      tokenizer.decode(ids, {.skip_special = true});
      text::StreamDecoder stream(tokenizer);
      for (const int64_t id : ids) stream.push(id);
      stream.finish();
    }
  } catch (const preimage::base::Error& error) {
    if (error.code() != preimage::base::ExitCode::bad_data) throw;
  }
  return 0;
}
