// A folder of tokenizer files of its own for each test.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "folder.hpp"
#include "preimage/base/error.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::text {

class TokenizerFolder : public testing::Test {
 protected:
  // A file of tests/text/fixtures under another name.
  void copy(const std::string& from, const char* to) const {
    std::filesystem::copy_file(std::filesystem::path(PREIMAGE_TEST_DATA "/text/fixtures") / from,
                               folder_ / to, std::filesystem::copy_options::overwrite_existing);
  }
  void write(const char* name, const std::string& text) const { folder_.put(name, text); }
  std::string refusal() const {
    try {
      load_tokenizer(folder_.path());
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ExitCode::bad_data);
      return error.what();
    }
    return "accepted";
  }

  tests::Folder folder_;
};

}  // namespace preimage::text
