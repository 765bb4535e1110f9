// Compressed files: one made by Python's gzip, and our own.
#include "preimage/data/gzip.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/lines.hpp"

namespace preimage::data {
namespace {

const std::string kPython = PREIMAGE_TEST_DATA "/data/fixtures/lines.jsonl.gz";  // 300 lines

class Gzip : public testing::Test {
 protected:
  Gzip() : path_(std::filesystem::temp_directory_path() / base::str("preimage_gzip_", getpid())) {}
  ~Gzip() override { std::filesystem::remove(path_); }
  std::vector<std::string> lines_of(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary) << bytes;
    LineReader reader(path_);
    std::vector<std::string> lines;
    for (std::string line; reader.next(line);) lines.push_back(line);
    return lines;
  }
  std::filesystem::path path_;
};

TEST_F(Gzip, ReadsWhatPythonCompressed) {
  LineReader reader(kPython);
  std::string line;
  int64_t count = 0;
  for (; reader.next(line); ++count) {
    std::string text;
    for (int64_t i = 0; i <= count % 7; ++i) text += base::str("line ", count, " é");
    EXPECT_EQ(line, base::str("{\"i\": ", count, ", \"text\": \"", text, "\"}"));
  }
  EXPECT_EQ(count, 300);
  EXPECT_EQ(reader.number(), 300);
}

TEST_F(Gzip, GivesEqualBytesForEqualTexts) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += base::str("row ", i * 7919, "\n");
  EXPECT_EQ(gzip(text), gzip(text));
  EXPECT_LT(gzip(text).size(), text.size() / 2);
  const auto lines = lines_of(gzip(text));
  ASSERT_EQ(lines.size(), 5000u);
  EXPECT_EQ(lines[4999], base::str("row ", 4999 * 7919));
  EXPECT_EQ(lines_of(text), lines);  // plain files pass through
  EXPECT_TRUE(lines_of(gzip("")).empty());
}

TEST_F(Gzip, RefusesAFileThatEndsEarlyOrIsDamaged) {
  const auto whole = base::read_file(kPython);
  EXPECT_EQ(lines_of(whole).size(), 300u);
  EXPECT_THROW(lines_of(whole.substr(0, whole.size() / 2)), base::Error);
  EXPECT_THROW(lines_of(whole.substr(0, whole.size() - 4)), base::Error);
  auto damaged = whole;
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 1);  // checksum
  EXPECT_THROW(lines_of(damaged), base::Error);
}

}  // namespace
}  // namespace preimage::data
