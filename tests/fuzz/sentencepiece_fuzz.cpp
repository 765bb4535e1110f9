// Any bytes as a SentencePiece model; an accepted one encodes and decodes a few texts.
#include "preimage/base/error.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace text = preimage::text;
  try {
    const auto tokenizer =
        text::parse_sentencepiece({reinterpret_cast<const char*>(data), size}, "fuzz.model");
    for (const char* sample :
         {"", "Hello, world's 123\r\n  \xC3\xA9\xE6\xBC\xA2 \xE2\x96\x81", "aaaaaaaaaa\t\n"}) {
      auto ids = tokenizer.encode(sample, {.add_special = true});
      ids.push_back(tokenizer.id_limit() - 1);
      ids.push_back(tokenizer.id_limit());
      tokenizer.decode(ids);
    }
  } catch (const preimage::base::Error& error) {
    if (error.code() != preimage::base::ExitCode::bad_data) throw;
  }
  return 0;
}
