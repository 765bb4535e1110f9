// A folder of tokenizer files of its own for each test.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "preimage/base/error.hpp"
#include "preimage/text/tokenizer.hpp"

namespace preimage::text {

class TokenizerFolder : public testing::Test {
 protected:
  TokenizerFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "preimage-text-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~TokenizerFolder() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  // A file of tests/text/fixtures under another name.
  void copy(const std::string& from, const char* to) const {
    std::filesystem::copy_file(std::filesystem::path(PREIMAGE_TEST_DATA "/text/fixtures") / from,
                               folder_ / to, std::filesystem::copy_options::overwrite_existing);
  }
  void write(const char* name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string refusal() const {
    try {
      load_tokenizer(folder_);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ExitCode::bad_data);
      return error.what();
    }
    return "accepted";
  }

  std::filesystem::path folder_;
};

}  // namespace preimage::text
