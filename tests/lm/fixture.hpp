// The checked-in checkpoints, and the bytes of hand-made safetensors files.
#pragma once

#include <filesystem>
#include <string>

#include "folder.hpp"
#include "preimage/base/error.hpp"

namespace preimage::lm {

using tests::Folder;

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(PREIMAGE_TEST_DATA) / "lm/fixtures" / name;
}

inline std::string length_field(uint64_t value) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
  return out;
}

// A file of a JSON header and data bytes.
inline std::string container(const std::string& header, const std::string& data = "") {
  return length_field(header.size()) + header + data;
}

// One tensor in the header's text.
inline std::string entry(const std::string& name, const std::string& dtype,
                         const std::string& shape, const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

// The text of the bad_data error that `action` throws; "" when it throws none.
template <class Action>
std::string data_error_of(const Action& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.code() == base::ExitCode::bad_data ? error.what()
                                                    : std::string("not bad_data: ") + error.what();
  }
  return "";
}

}  // namespace preimage::lm
