// The header of a safetensors file, checked in full before any data is touched. It stands in base,
// free of torch, so that it can be fuzzed. Format: https://github.com/huggingface/safetensors (the
// rules of its tensor.rs, and stricter: duplicate keys and unknown structure are refused).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace preimage::base {

struct SafetensorsTensor {
  std::string name;             // any text: never use it as a path
  std::string dtype;            // as in the file: "BF16", "F32", "U8", ...
  std::vector<int64_t> shape;   // counts elements, also where several share a byte
  uint64_t begin = 0, end = 0;  // bytes, from the start of the file
};

struct SafetensorsHeader {
  std::vector<SafetensorsTensor>
      tensors;  // by offset: contiguous from data_begin to the file's end
  std::map<std::string, std::string> metadata;
  uint64_t data_begin = 0;
};

// A dtype code of the format and its bits an element; in the order of the reference implementation,
// whose writer puts tensors of a later code first.
struct SafetensorsDtype {
  std::string_view code;
  int bits;
};
const std::vector<SafetensorsDtype>& safetensors_dtypes();

// Bytes of the length field and the JSON together (8 + N). `head` is the first 64 bytes of the
// file, or all of it. `place` starts every message; all errors of this unit are ExitCode::bad_data.
uint64_t safetensors_header_size(std::string_view head, uint64_t file_size,
                                 const std::string& place);

// `bytes` is the first safetensors_header_size() bytes of a file of `file_size` bytes.
SafetensorsHeader parse_safetensors_header(std::string_view bytes, uint64_t file_size,
                                           const std::string& place);

// What a weight file is that is not safetensors, by its first 64 bytes, with what to do about it:
// pickles (raw or zipped), GGUF, HDF5, large-file stubs. "" when none of them.
std::string foreign_weight_format(std::string_view head);

// "[2, 3]", for messages about shapes.
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace preimage::base
