// SentencePiece models, tiktoken files and vocabularies of BERT and GPT-2, against the libraries
// that read them (scripts/fixtures/make_subword_fixtures.py).
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/utf8.hpp"
#include "text/tokenizer_folder.hpp"

namespace preimage::text {
namespace {

namespace fs = std::filesystem;
using base::Json;
using testing::HasSubstr;
using Ids = std::vector<int64_t>;

const std::string kFixtures = PREIMAGE_TEST_DATA "/text/fixtures/";

Json read_cases(const std::string& name) {
  base::JsonLimits limits;
  limits.max_bytes = 4 << 20;
  return base::read_json(kFixtures + name, limits);
}

void expect_cases(const Tokenizer& tokenizer, const Json& cases) {
  EXPECT_EQ(tokenizer.vocab_size(), cases["vocab_size"].get<int64_t>());
  for (const auto& one : cases["encode"]) {
    const auto text = one["text"].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), one["ids"].get<Ids>()) << base::escape_text(text);
  }
  for (const auto& one : cases["decode"]) {
    EXPECT_EQ(tokenizer.decode(one["ids"].get<Ids>()), one["text"].get<std::string>())
        << one["ids"].dump();
  }
}

class SentencePieceFiles : public testing::TestWithParam<const char*> {};

TEST_P(SentencePieceFiles, GiveTheIdsOfSentencepiece) {
  const std::string name = GetParam();
  expect_cases(parse_sentencepiece(base::read_file(kFixtures + name), name),
               read_cases(name + ".cases.json"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, SentencePieceFiles, testing::Values("unigram.model", "bpe.model"),
                         [](const auto& one) {
                           return std::string(one.param).substr(0,
                                                                std::string(one.param).find('.'));
                         });

TEST(TiktokenFile, GivesTheIdsOfTiktoken) {
  const auto cases = read_cases("small.tiktoken.cases.json");
  expect_cases(parse_tiktoken(base::read_file(kFixtures + "small.tiktoken"), cases["pattern"], "t"),
               cases);
}

using OldFiles = TokenizerFolder;

TEST_F(OldFiles, T5GetsItsSentinelsAndEndOfSequence) {
  copy("unigram.model", "spiece.model");
  write("tokenizer_config.json", R"({"tokenizer_class":"T5Tokenizer","eos_token":"</s>"})");
  const auto tokenizer = load_tokenizer(folder_.path());
  const auto pieces = read_cases("unigram.model.cases.json")["vocab_size"].get<int64_t>();
  EXPECT_EQ(tokenizer.vocab_size(), pieces + 100);
  EXPECT_EQ(tokenizer.token_to_id("<extra_id_0>"), pieces + 99);
  EXPECT_EQ(tokenizer.special().eos, 1);
  auto ids = tokenizer.encode("the<extra_id_99> x");
  EXPECT_THAT(ids, testing::Contains(pieces));
  ids.push_back(1);
  EXPECT_EQ(tokenizer.encode("the<extra_id_99> x", {.add_special = true}), ids);
  EXPECT_EQ(tokenizer.sha256().size(), 64u);
}

TEST_F(OldFiles, KimiGetsItsReservedTokens) {
  copy("small.tiktoken", "tiktoken.model");
  const auto cases = read_cases("small.tiktoken.cases.json");
  const auto ranks = cases["vocab_size"].get<int64_t>();
  write("tokenizer_config.json",
        R"({"tokenizer_class":"TikTokenTokenizer","eos_token":"[EOS]","added_tokens_decoder":{")" +
            std::to_string(ranks + 1) + R"(":{"content":"[EOS]","special":true}}})");
  const auto tokenizer = load_tokenizer(folder_.path());
  EXPECT_EQ(tokenizer.vocab_size(), ranks + 256);
  EXPECT_EQ(tokenizer.special().eos, ranks + 1);
  EXPECT_EQ(tokenizer.encode("[EOS]<|reserved_token_" + std::to_string(ranks) + "|>"),
            (Ids{ranks + 1, ranks}));
  for (const auto& one : cases["encode"]) {
    EXPECT_EQ(tokenizer.encode(one["text"].get<std::string>()), one["ids"].get<Ids>());
  }
}

TEST_F(OldFiles, VocabularyFilesGiveTheIdsOfTheWholeFile) {
  const auto bert = read_cases("bert.tokenizer.json");
  std::vector<std::string> lines(bert["model"]["vocab"].size());
  for (const auto& [token, id] : bert["model"]["vocab"].items()) lines[id.get<size_t>()] = token;
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  write("vocab.txt", text);
  const auto whole = parse_tokenizer(bert.dump(), "bert");
  const auto listed = load_tokenizer(folder_.path());
  for (const auto& sample : read_cases("texts.json")) {
    const auto one = sample.get<std::string>();
    if (one.size() > 60) continue;  // the fixture's limit on the length of words is its own
    EXPECT_EQ(listed.encode(one, {.add_special = true}), whole.encode(one, {.add_special = true}));
  }
  fs::remove(folder_ / "vocab.txt");
  const auto gpt2 = read_cases("gpt2.tokenizer.json");
  write("vocab.json", gpt2["model"]["vocab"].dump());
  text = "#version: 0.2\n";
  for (const auto& merge : gpt2["model"]["merges"]) {
    text += merge.is_string()
                ? merge.get<std::string>() + "\n"
                : merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  }
  write("merges.txt", text);
  write("tokenizer_config.json", R"({"tokenizer_class":"GPT2Tokenizer"})");
  const auto split = load_tokenizer(folder_.path());
  EXPECT_EQ(split.encode("The lazy dog's 123"),
            parse_tokenizer(gpt2.dump(), "gpt2").encode("The lazy dog's 123"));
}

TEST_F(OldFiles, BadFilesAreRefusedByName) {
  const auto model = base::read_file(kFixtures + "unigram.model");
  write("tokenizer.model", model.substr(0, model.size() / 2));
  EXPECT_THAT(refusal(),
              testing::AllOf(HasSubstr("tokenizer.model: byte "), HasSubstr("are left")));
  write("tokenizer.model", "aGk= 0\nbad line\n");
  EXPECT_THAT(refusal(), HasSubstr("the pattern of this tiktoken file is not known"));
  write("tokenizer_config.json", R"({"tokenizer_class":"TikTokenTokenizer"})");
  EXPECT_THAT(refusal(), HasSubstr("tokenizer.model:2: the token is not base64"));
  write("tokenizer.model", "aGk= 0\naGk= 1\n");
  EXPECT_THAT(refusal(), HasSubstr("tokenizer.model:2: the token came before"));
  write("tokenizer.model", "aGk= 0\n");
  EXPECT_THAT(refusal(), HasSubstr("not every single byte is a token"));
  fs::remove(folder_ / "tokenizer.model");
  write("vocab.json", R"({"a":0})");
  EXPECT_THAT(refusal(), HasSubstr("merges.txt: no such file"));
}

}  // namespace
}  // namespace preimage::text
