// The files beside tokenizer.json: names of special tokens, stop ids.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/sha256.hpp"
#include "text/tokenizer_folder.hpp"

namespace preimage::text {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class Folder : public TokenizerFolder {
 protected:
  void SetUp() override { copy("qwen2.tokenizer.json", "tokenizer.json"); }
};

TEST_F(Folder, AloneGivesNoNames) {
  const auto tokenizer = load_tokenizer(folder_.path());
  EXPECT_EQ(tokenizer.special().eos, std::nullopt);
  EXPECT_TRUE(tokenizer.special().stop.empty());
  EXPECT_EQ(tokenizer.sha256(), base::sha256_hex(base::read_file(folder_ / "tokenizer.json")));
}

TEST_F(Folder, NamesComeFromTheConfigs) {
  write("tokenizer_config.json",
        R"({"bos_token":null,"eos_token":"<|im_end|>","pad_token":{"content":"<|endoftext|>"}})");
  const auto first = load_tokenizer(folder_.path());
  EXPECT_EQ(first.special().bos, std::nullopt);
  EXPECT_EQ(first.special().eos, first.token_to_id("<|im_end|>"));
  EXPECT_EQ(first.special().pad, first.token_to_id("<|endoftext|>"));
  EXPECT_THAT(first.special().stop, ElementsAre(*first.special().eos));
  write("generation_config.json", R"({"eos_token_id":[602,600],"bos_token_id":600})");
  const auto second = load_tokenizer(folder_.path());
  EXPECT_THAT(second.special().stop, ElementsAre(602, 600));
  EXPECT_EQ(second.special().bos, 600);
  EXPECT_EQ(second.special().eos, first.special().eos);
}

TEST_F(Folder, RefusalsNameTheFile) {
  write("tokenizer_config.json", R"({"eos_token":5})");
  EXPECT_THAT(refusal(), testing::AllOf(HasSubstr("tokenizer_config.json: eos_token"),
                                        HasSubstr("found the number 5")));
  write("tokenizer_config.json", R"({"truncation_side":"middle"})");
  EXPECT_THAT(refusal(), HasSubstr("truncation_side: found the string \"middle\""));
  write("tokenizer_config.json", R"({"fast_tokenizer_files":["tokenizer.4.0.json"]})");
  EXPECT_THAT(refusal(), HasSubstr("fast_tokenizer_files: is not supported"));
  write("tokenizer_config.json", R"({"added_tokens_decoder":{"x":{"content":"<x>"}}})");
  EXPECT_THAT(refusal(), HasSubstr("added_tokens_decoder: \"x\" is no token id"));
  write("tokenizer_config.json", "{}");
  write("generation_config.json", R"({"eos_token_id":"2"})");
  EXPECT_THAT(refusal(), HasSubstr("generation_config.json: eos_token_id: found the string \"2\""));
  fs::remove(folder_ / "tokenizer.json");
  EXPECT_THAT(refusal(), HasSubstr("holds no tokenizer; expected tokenizer.json"));
  write("spiece.model", "x");
  EXPECT_THAT(refusal(), HasSubstr("spiece.model: byte 1 of the SentencePiece model"));
}

}  // namespace
}  // namespace preimage::text
