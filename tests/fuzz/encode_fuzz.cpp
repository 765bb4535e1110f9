// Any bytes as text for a tokenizer of the Qwen2 form: UTF-8 that NFC leaves alone survives the way
// to ids and back.
#include "preimage/base/error.hpp"
#include "preimage/base/utf8.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace {

// Bytes as tokens, a few merges; no normalizer, so that decode(encode(text)) == text.
constexpr const char* kPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+)";

std::string document() {
  std::string vocabulary;
  int id = 0;
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    std::string letter;
    preimage::base::append_utf8(itself ? byte : next++, letter);
    if (letter == "\"" || letter == "\\") letter.insert(0, "\\");
    vocabulary += "\"" + letter + "\":" + std::to_string(id++) + ",";
  }
  return R"({"version":"1.0","added_tokens":[{"id":259,"content":"<|x|>","special":true}],"pre_tokenizer":
{"type":"Sequence","pretokenizers":[{"type":"Split","behavior":"Isolated","pattern":{"Regex":")" +
         std::string(kPattern) +
         R"("}},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]},"decoder":{"type":"ByteLevel"},
"model":{"type":"BPE","vocab":{)" +
         vocabulary + R"("aa":256,"ĠĠ":257,"aaaa":258},"merges":["a a","Ġ Ġ","aa aa"]}})";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace base = preimage::base;
  static const auto tokenizer = preimage::text::parse_tokenizer(document(), "fuzz");
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const auto ids = tokenizer.encode(text);
    base::check(tokenizer.decode(ids) == text, "decode is the inverse of encode");
    const auto placed = tokenizer.encode_with_offsets(text);
    base::check(placed.ids == ids, "offsets change no ids");
    size_t at = 0;
    for (const auto& [begin, end] : placed.offsets) {
      base::check(begin <= end && end <= text.size() && end >= at, "offsets go on in the text");
      at = end;
    }
    base::check(at == text.size(), "and cover it");
    std::string streamed;
    preimage::text::StreamDecoder stream(tokenizer);
    for (const int64_t id : ids) streamed += stream.push(id);
    base::check(streamed + stream.finish() == text, "the streamed pieces join to the text");
  } catch (const base::Error& error) {
    if (error.code() != base::ExitCode::bad_data) throw;
    base::check(base::first_invalid_utf8(text) != text.npos,
                "only text that is not UTF-8 is refused");
  }
  return 0;
}
