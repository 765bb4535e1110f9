#include "preimage/lm/checkpoint/safetensors.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "lm/fixture.hpp"
#include "preimage/base/file.hpp"

namespace preimage::lm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string opening(const std::string& bytes) {
  const Folder folder;
  const auto path = folder.put("t.safetensors", bytes);
  return data_error_of([&] { SafetensorsFile file(path); });
}

struct BadFile {
  const char* rule;
  std::string bytes;
  std::vector<std::string> message;
};

std::vector<BadFile> bad_files() {
  const auto a = [](const std::string& dtype, const std::string& shape,
                    const std::string& offsets) {
    return "{" + entry("a", dtype, shape, offsets) + "}";
  };
  const std::string two = "[0,2]", ok = entry("a", "U8", "[2]", "[0,2]");
  return {
      {"empty", "", {"file has 0 bytes"}},
      {"five bytes", "12345", {"header length missing", "file has 5 bytes"}},
      {"length 0", length_field(0), {"header length 0"}},
      {"length beyond the file", length_field(100) + "{}", {"100", "10 bytes", "complete"}},
      {"length beyond the limit", length_field(100'000'001) + "{", {"100000001", "100000000"}},
      {"length 2^64-1", length_field(UINT64_MAX) + "{", {"18446744073709551615"}},
      {"length 2^64-8", length_field(UINT64_MAX - 7) + "{", {"18446744073709551608"}},
      {"no brace", container("[]"), {"byte 8 is 91"}},
      {"space first", container(" {}"), {"byte 8 is 32"}},
      {"byte order mark", container("\xEF\xBB\xBF{}"), {"byte 8 is 239"}},
      {"not UTF-8", container("{\"\xFF\":1}"), {"header byte 2", "UTF-8"}},
      {"not JSON", container("{\"a\":}"), {"header byte", "not valid JSON"}},
      {"cut JSON", container("{" + ok, "ab"), {"not valid JSON"}},
      {"two values", container("{}{}"), {"not valid JSON"}},
      {"newline after", container("{}\n"), {"header byte 2 is 10", "only spaces"}},
      {"NUL after", container(std::string("{}\0", 3)), {"header byte 2 is 0"}},
      {"number beyond a double", container("{\"a\":1e999}"), {"\"a\"", "no double"}},
      {"deep nesting", container("{\"a\":" + std::string(100'000, '[') + "}"), {"an array"}},
      {"same tensor twice", container("{" + ok + "," + ok + "}", "ab"), {"\"a\"", "twice"}},
      {"same key twice",
       container(R"({"a":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "ab"),
       {"\"a\"", "\"dtype\" appears twice"}},
      {"metadata key twice",
       container(R"({"__metadata__":{"k":"1","k":"2"}})"),
       {"\"k\"", "twice"}},
      {"metadata twice", container(R"({"__metadata__":{},"__metadata__":{}})"), {"twice"}},
      {"metadata number", container(R"({"__metadata__":{"k":1}})"), {"\"k\"", "number 1"}},
      {"metadata object", container(R"({"__metadata__":{"k":{}}})"), {"\"k\"", "an object"}},
      {"metadata null", container(R"({"__metadata__":null})"), {"null"}},
      {"tensor is a number", container("{\"a\":3}"), {"\"a\"", "the number 3", "an object"}},
      {"unknown key", container(R"({"a":{"dtype":"U8","strides":[1]}})"), {"\"strides\""}},
      {"no dtype", container(R"({"a":{"shape":[2],"data_offsets":[0,2]}})", "ab"), {"dtype"}},
      {"no shape", container(R"({"a":{"dtype":"U8","data_offsets":[0,2]}})", "ab"), {"shape"}},
      {"no offsets", container(R"({"a":{"dtype":"U8","shape":[2]}})", "ab"), {"data_offsets"}},
      {"unknown dtype", container(a("Q4_K", "[2]", two), "ab"), {"\"a\"", "Q4_K", "BF16"}},
      {"lower-case dtype", container(a("u8", "[2]", two), "ab"), {"\"u8\""}},
      {"negative size", container(a("U8", "[-2]", two), "ab"), {"number -2", "unsigned"}},
      {"float size", container(a("U8", "[2.0]", two), "ab"), {"number 2.0"}},
      {"size 2^64",
       container(a("U8", "[18446744073709551616]", two), "ab"),
       {"1844674407370955161"}},
      {"size 2^63",
       container(a("U8", "[9223372036854775808]", two), "ab"),
       {"9223372036854775808"}},
      {"text size", container(a("U8", "[\"2\"]", two), "ab"), {"\"2\""}},
      {"shape is null", container(a("U8", "null", two), "ab"), {"null", "array"}},
      {"nested shape", container(a("U8", "[[2]]", two), "ab"), {"an array"}},
      {"one offset", container(a("U8", "[2]", "[0]"), "ab"), {"two numbers"}},
      {"three offsets", container(a("U8", "[2]", "[0,2,2]"), "ab"), {"number 2"}},
      {"float offset", container(a("U8", "[2]", "[0,2.0]"), "ab"), {"2.0"}},
      {"negative offset", container(a("U8", "[2]", "[-1,1]"), "ab"), {"-1"}},
      {"product overflows", container(a("U8", "[4611686018427387904,4]", two), "ab"), {"overflow"}},
      {"product of 2^63", container(a("U8", "[4611686018427387904,2]", two), "ab"), {"overflow"}},
      {"bits overflow", container(a("F64", "[288230376151711744]", two), "ab"), {"overflow"}},
      {"overflow beside a zero",
       container(a("U8", "[4611686018427387904,4,0]", "[0,0]")),
       {"overflow"}},
      {"half a byte", container(a("F4", "[3]", two), "ab"), {"F4", "12 bits"}},
      {"six bits", container(a("F6_E2M3", "[2]", two), "ab"), {"12 bits"}},
      {"size and offsets differ",
       container(a("F32", "[2]", "[0,4]"), "abcd"),
       {"4 bytes", "[2]", "8"}},
      {"end before begin", container(a("U8", "[2]", "[2,0]"), "ab"), {"[2, 0]", "end before"}},
      {"hole at the start", container(a("U8", "[1]", "[1,2]"), "ab"), {"hole"}},
      {"hole",
       container("{" + ok + "," + entry("b", "U8", "[1]", "[3,4]") + "}", "abcd"),
       {"\"b\"", "begins at 3", "ends at 2", "hole"}},
      {"overlap",
       container("{" + ok + "," + entry("b", "U8", "[2]", "[1,3]") + "}", "abc"),
       {"\"b\"", "overlap"}},
      {"same bytes",
       container("{" + ok + "," + entry("b", "U8", "[2]", "[0,2]") + "}", "ab"),
       {"overlap"}},
      {"data too short", container("{" + ok + "}", "a"), {"2 bytes", "holds 1", "complete"}},
      {"data too long", container("{" + ok + "}", "abc"), {"2 bytes", "holds 3", "tail"}},
      {"data without tensors", container("{}", "a"), {"0 bytes", "holds 1"}},
      {"65 dimensions",
       container(a(
                     "U8",
                     "[1" +
                         [] {
                           std::string s;
                           for (int i = 0; i < 64; ++i) s += ",1";
                           return s;
                         }() +
                         "]",
                     "[0,1]"),
                 "a"),
       {"64 dimensions"}},
  };
}

TEST(SafetensorsRules, EveryBadFileIsRefusedByName) {
  for (const auto& bad : bad_files()) {
    const std::string message = opening(bad.bytes);
    EXPECT_THAT(message, HasSubstr("t.safetensors: ")) << bad.rule;
    for (const auto& part : bad.message) EXPECT_THAT(message, HasSubstr(part)) << bad.rule;
  }
}

TEST(SafetensorsRules, OtherFormatsAreNamed) {
  EXPECT_THAT(opening("PK\x03\x04" + std::string(60, 'x')),
              AllOf(HasSubstr("zip"), HasSubstr("run code")));
  EXPECT_THAT(opening("\x80\x02\x8a\x0a" + std::string(60, 'x')), HasSubstr("pickle"));
  EXPECT_THAT(opening("GGUF\x03" + std::string(60, 'x')), HasSubstr("GGUF"));
  EXPECT_THAT(opening("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
              HasSubstr("git lfs pull"));
  EXPECT_THAT(opening("\x89HDF\r\n\x1a\n" + std::string(60, 'x')), HasSubstr("HDF5"));
  // A header of 0x280 bytes begins like a pickle of protocol 2, and is none.
  std::string header = "{}";
  header.resize(0x280, ' ');
  EXPECT_EQ(opening(container(header)), "");
}

TEST(SafetensorsRules, WhatTheFormatAllows) {
  EXPECT_EQ(opening(container("{}")), "");
  EXPECT_EQ(opening(container("{}     ")), "");
  EXPECT_EQ(opening(container(R"({"__metadata__":{}})")), "");
  const Folder folder;
  const auto path = folder.put("t", container("{" + entry("scalar", "F32", "[]", "[2,6]") + "," +
                                                  entry("none", "F64", "[3,0,2]", "[2,2]") + "," +
                                                  entry("../../x", "F4", "[4]", "[0,2]") + "," +
                                                  entry("late none", "BF16", "[0]", "[6,6]") + "}",
                                              std::string("ab\0\0\xC0\x7F", 6)));
  const SafetensorsFile file(path);
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.tensors()[0].name, "../../x");  // by offset, not by place in the header
  EXPECT_EQ(file.tensors()[3].name, "late none");
  EXPECT_TRUE(std::isnan(file.read(*file.find("scalar")).item<float>()));
  EXPECT_EQ(file.read(*file.find("none")).sizes().vec(), (std::vector<int64_t>{3, 0, 2}));
  EXPECT_EQ(file.read(*file.find("../../x")).sizes().vec(), std::vector<int64_t>{2});
  EXPECT_EQ(file.find("other"), nullptr);
}

TEST(SafetensorsRules, TruncationAtEveryByteAndATailAreRefused) {
  const std::string whole = base::read_file(fixture("qwen2_tied/expected.safetensors"));
  // All cuts in the header, and the last ones of the data.
  const std::string small = container(
      "{" + entry("a", "F32", "[3]", "[0,12]") + "," + entry("b", "I64", "[1]", "[12,20]") + "}",
      std::string(20, 'x'));
  ASSERT_EQ(opening(small), "");
  for (size_t cut = 0; cut < small.size(); ++cut) {
    EXPECT_NE(opening(small.substr(0, cut)), "") << cut;
  }
  EXPECT_NE(opening(small + "x"), "");
  ASSERT_EQ(opening(whole), "");
  EXPECT_NE(opening(whole.substr(0, whole.size() - 1)), "");
}

TEST(SafetensorsRules, OnlyRegularFiles) {
  EXPECT_THAT(data_error_of([] { SafetensorsFile file("/dev/zero"); }),
              HasSubstr("not a regular file"));
  EXPECT_THAT(data_error_of([] { SafetensorsFile file("/"); }), HasSubstr("not a regular file"));
  EXPECT_THAT(data_error_of([] { SafetensorsFile file("/nowhere/x"); }), HasSubstr("no such file"));
}

TEST(Safetensors, AFileCutAfterOpeningIsAnError) {
  const Folder folder;
  const auto path =
      folder.put("t", container("{" + entry("a", "U8", "[9]", "[0,9]") + "}", "123456789"));
  const SafetensorsFile file(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_THAT(data_error_of([&] { file.read(file.tensors()[0]); }),
              HasSubstr("changed while it was read"));
}

// Bit patterns by the IEEE and OCP definitions, not by what a writer of ours makes of them.
TEST(Safetensors, ValuesOfEachFloatType) {
  const Folder folder;
  const auto values = [&](const std::string& dtype, int64_t count, const std::string& bytes) {
    const auto path =
        folder.put("t", container("{" +
                                      entry("a", dtype, "[" + std::to_string(count) + "]",
                                            "[0," + std::to_string(bytes.size()) + "]") +
                                      "}",
                                  bytes));
    const SafetensorsFile file(path);
    const at::Tensor read = file.read(file.tensors()[0]).to(at::kDouble).contiguous();
    const double* data = read.const_data_ptr<double>();
    return std::vector<double>(data, data + read.numel());
  };
  using testing::ElementsAre;
  const std::string bits16("\x80\x3F\x00\xC0\x01\x00", 6);
  EXPECT_THAT(values("BF16", 3, bits16), ElementsAre(1.0, -2.0, std::ldexp(1.0, -133)));
  const std::string half("\x00\x3C\xFF\x7B\x01\x00", 6);
  EXPECT_THAT(values("F16", 3, half), ElementsAre(1.0, 65504.0, std::ldexp(1.0, -24)));
  EXPECT_THAT(values("F8_E4M3", 3, "\x38\x7E\x01"), ElementsAre(1.0, 448.0, std::ldexp(1.0, -9)));
  EXPECT_THAT(values("F8_E5M2", 3, "\x3C\x7B\x7C"),
              ElementsAre(1.0, 57344.0, std::numeric_limits<double>::infinity()));
  EXPECT_THAT(values("BOOL", 3, std::string("\0\1\2", 3)), ElementsAre(0.0, 1.0, 1.0));
  EXPECT_THAT(values("U16", 1, "\xFE\xFF"), ElementsAre(65534.0));
  EXPECT_THAT(values("I16", 1, "\xFE\xFF"), ElementsAre(-2.0));
  EXPECT_THAT(values("F8_E8M0", 2, "\x7F\xFE"), ElementsAre(127.0, 254.0));  // as bytes
}

// The fixtures were written by the reference library: what we read and write again is the same
// file.
TEST(Safetensors, RewritesReferenceFilesByteForByte) {
  const Folder folder;
  for (const std::string name :
       {"qwen2_tied/model.safetensors", "qwen2_tied/expected.safetensors",
        "qwen2_untied/model-00001-of-00002.safetensors", "writer/mixed.safetensors"}) {
    const SafetensorsFile file(fixture(name));
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const auto& info : file.tensors())
      tensors.insert(tensors.begin(), {info.name, file.read(info)});
    write_safetensors(folder / "copy", tensors, file.metadata());
    EXPECT_EQ(base::read_file(folder / "copy"), base::read_file(fixture(name))) << name;
    EXPECT_FALSE(std::filesystem::exists(folder / "copy.tmp"));
  }
}

TEST(Safetensors, WriterKeepsItsPromises) {
  const Folder folder;
  const at::Tensor matrix = at::arange(6, at::kFloat).view({2, 3});
  EXPECT_THROW(write_safetensors(folder / "x", {{"a", matrix.t()}}), base::Error);
  EXPECT_THROW(write_safetensors(folder / "x", {{"a", matrix}, {"a", matrix}}), base::Error);
  EXPECT_THROW(write_safetensors(folder / "x", {{"__metadata__", matrix}}), base::Error);
  EXPECT_THROW(write_safetensors(folder / "none/x", {{"a", matrix}}), base::Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  write_safetensors(folder / "x", {{"quote\"\n", matrix}});
  const SafetensorsFile file(folder / "x");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_TRUE(at::equal(file.read(*file.find("quote\"\n")), matrix));
}

}  // namespace
}  // namespace preimage::lm
