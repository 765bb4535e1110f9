// A folder of its own for each test, removed at its end; and the bytes of hand-made safetensors
// files.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "preimage/base/error.hpp"

namespace preimage::lm {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "preimage-lm-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  std::filesystem::path put(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

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
