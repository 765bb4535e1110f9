// Any bytes as one of the data sets that are a single JSON document; the first byte chooses which.
#include "file_input.hpp"
#include "preimage/base/error.hpp"
#include "preimage/data/dataset.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace pd = preimage::data;
  if (size == 0) return 0;
  static constexpr const char* kKinds[] = {"squad", "triviaqa", "hotpotqa"};
  const preimage::fuzz::MemoryFile file(data + 1, size - 1);
  try {
    const auto set = pd::read_dataset({.kind = kKinds[data[0] % 3], .path = file.path()});
    pd::select(set.examples, {.count = 1, .one_per_group = true});
  } catch (const preimage::base::Error& error) {
    if (error.code() != preimage::base::ExitCode::bad_data) throw;
  }
  return 0;
}
