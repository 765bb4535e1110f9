// Any bytes as the files beside a tokenizer.json: what is taken encodes, decodes and renders a few
// texts.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "preimage/base/error.hpp"
#include "preimage/text/chat_template.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenizer = R"({"version":"1.0","added_tokens":[
{"id":4,"content":"<x>","special":true,"normalized":true}],"normalizer":{"type":"Lowercase"},
"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first"},
"decoder":{"type":"Fuse"},"model":{"type":"BPE","unk_token":"?",
"vocab":{"?":0,"_":1,"a":2,"b":3},"merges":[]}})";

fs::path folder() {
  std::string name = (fs::temp_directory_path() / "preimage-fuzz-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  std::ofstream(fs::path(name) / "tokenizer.json") << kTokenizer;
  return name;
}

}  // namespace

// The first byte chooses the file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace text = preimage::text;
  static const fs::path where = folder();
  static constexpr const char* kNames[] = {"tokenizer_config.json", "special_tokens_map.json",
                                           "added_tokens.json", "generation_config.json"};
  if (size == 0) return 0;
  const auto path = where / kNames[data[0] % 4];
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(data) + 1, static_cast<std::streamsize>(size - 1));
  try {
    const auto tokenizer = text::load_tokenizer(where);
    for (const char* sample : {"", "aB <x> [P]b\n", "\xC3\xA9<X>"}) {
      const auto ids = tokenizer.encode(sample);
      const auto placed = tokenizer.encode_with_offsets(sample);
      if (placed.ids != ids || placed.offsets.size() != ids.size()) std::abort();
      tokenizer.decode(ids, {.skip_special = true});
    }
    const auto chat = text::load_chat_template(where);
    chat.render(text::parse_ordered(R"({"messages":[{"role":"user","content":"hi"}]})", "fuzz"));
  } catch (const preimage::base::Error& error) {
    if (error.code() != preimage::base::ExitCode::bad_data) throw;
  }
  fs::remove(path);
  return 0;
}
