#include "preimage/data/candidates.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "folder.hpp"
#include "preimage/base/error.hpp"

namespace preimage::data {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Candidates : public testing::Test {
 protected:
  const tests::Folder folder_;
  const fs::path path_ = folder_ / "candidates.jsonl";

  std::vector<Candidate> read(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    return read_candidates(path_);
  }
  std::string refusal(const std::string& text) {
    try {
      read(text);
    } catch (const base::Error& error) {
      return error.what();
    }
    return "accepted";
  }
};

TEST_F(Candidates, PlainTripletsAreGroupedByTheirPrompt) {
  const auto found = read(
      "{\"prompt\": \"p\", \"code\": \"x\\n\", \"label\": 1}\n"
      "{\"prompt\": \"q\", \"code\": \"\", \"label\": false}\r\n"
      "{\"prompt\": \"p\", \"code\": \"y\", \"label\": \"FAIL\", \"logprob\": -3.5}\n");
  const std::vector<Candidate> expected = {{"p", "x\n", true, "#0", "", 0},
                                           {"q", "", false, "#1", "", 0},
                                           {"p", "y", false, "#0", "", 1}};
  EXPECT_EQ(found, expected);
}

TEST_F(Candidates, AreReadAsTheyWereWritten) {
  const std::vector<Candidate> all = {
      {"Grüße 🦊\n", "def f():\n\treturn '\\'\n", true, "601", "train", 5},
      {"Grüße 🦊\n", std::string("a\0b", 3), false, "601", "train", 6},
      {"other", "", false, "11", "", 0}};
  {
    CandidateWriter writer(path_);
    for (const auto& one : all) writer.write(one);
  }
  EXPECT_EQ(read_candidates(path_), all);
  std::ifstream file(path_);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line,
            "{\"candidate\":5,\"code\":\"def f():\\n\\treturn "
            "'\\\\'\\n\",\"label\":1,\"problem\":\"601\","
            "\"prompt\":\"Grüße 🦊\\n\",\"split\":\"train\"}");
}

TEST_F(Candidates, RefusalsNameFileAndLine) {
  const std::string good = "{\"prompt\": \"p\", \"code\": \"x\", \"label\": 1, \"problem\": \"1\"";
  const auto at = [&](const std::string& what) {
    return HasSubstr(path_.string() + ":2: " + what);
  };
  EXPECT_THAT(refusal(good + "}\n{\"prompt\": \"\", \"code\": \"\", \"label\": 1}"),
              at("prompt: empty"));
  EXPECT_THAT(refusal(good + "}\n{\"prompt\": \"p\", \"code\": \"\", \"label\": 2}"),
              at("label: found the number 2, expected 1 or 0"));
  EXPECT_THAT(refusal(good + "}\n{\"prompt\": \"p\", \"label\": 0}"),
              at("key \"code\" is missing"));
  EXPECT_THAT(refusal(good + ",\"candidate\": 3}\n" + good + ",\"candidate\": 3}"),
              at("problem \"1\" has candidate 3 twice"));
  EXPECT_THAT(
      refusal(good + "}\n{\"prompt\": \"q\", \"code\": \"\", \"label\": 1, \"problem\": \"1\"}"),
      at("problem \"1\" has another prompt than at " + path_.string() + ":1"));
  EXPECT_THAT(refusal(good + ",\"split\": \"train\"}\n" + good + ",\"split\": \"test\"}"),
              at("problem \"1\" is in split \"test\", at " + path_.string() + ":1 in \"train\""));
  EXPECT_THAT(refusal(""), HasSubstr("holds no candidate"));
  EXPECT_THAT(refusal("[]"), HasSubstr(":1: found an array"));
}

}  // namespace
}  // namespace preimage::data
