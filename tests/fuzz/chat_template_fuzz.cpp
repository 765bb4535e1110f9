// Any bytes as a chat template; an accepted one renders a conversation, within its limits.
#include "preimage/base/error.hpp"
#include "preimage/text/chat_template.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace text = preimage::text;
  static const auto request = text::parse_ordered(
      R"({"messages":[{"role":"user","content":"Hi <x> wörld"},{"role":"assistant","content":null,"thinking":"t",
"tool_calls":[{"function":{"name":"f","arguments":{"a":1.5,"b":[null,true]}}}]}],"tools":[{"type":"function"}],
"d":{"b":2,"a":1},"l":[3,1,2],"n":null,"f":0.5})",
      "fuzz");
  try {
    text::parse_chat_template({reinterpret_cast<const char*>(data), size}, "fuzz").render(request);
  } catch (const preimage::base::Error& error) {
    if (error.code() != preimage::base::ExitCode::bad_data) throw;
  }
  return 0;
}
