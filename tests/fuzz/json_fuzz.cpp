// Any bytes: the strict JSON reader either gives a value or a data error, never anything else.
#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool non_finite : {false, true}) {
    try {
      preimage::base::JsonLimits limits;
      limits.allow_non_finite = non_finite;
      const auto value = preimage::base::parse_json(text, "fuzz.json", limits);
      const auto again =
          preimage::base::parse_json(preimage::base::canonical(value), "again", limits);
      preimage::base::check(again == value, "canonical JSON reads back the same");
    } catch (const preimage::base::Error& error) {
      if (error.code() != preimage::base::ExitCode::bad_data) throw;
    }
  }
  return 0;
}
