// The header parser on arbitrary bytes: it ends in base::Error or in a layout that covers the file.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "preimage/base/error.hpp"
#include "preimage/base/safetensors_header.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace preimage;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  try {
    const uint64_t header_size = base::safetensors_header_size(file.substr(0, 64), size, "fuzz");
    const auto header = base::parse_safetensors_header(file.substr(0, header_size), size, "fuzz");
    uint64_t end = header.data_begin;
    for (const auto& tensor : header.tensors) {
      if (tensor.begin != end || tensor.end < tensor.begin || tensor.end > size) std::abort();
      end = tensor.end;
    }
    if (end != size) std::abort();
  } catch (const base::Error& error) {
    if (error.code() != base::ExitCode::bad_data) std::abort();
  }
  return 0;
}
