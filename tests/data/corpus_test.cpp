#include "preimage/data/corpus.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "folder.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"

namespace preimage::data {
namespace {

const std::string kFixtures = PREIMAGE_TEST_DATA "/data/fixtures/";

TEST(Corpus, ReadsBothForms) {
  const auto expected = base::read_json(kFixtures + "corpus_expected.json");
  const auto corpus = read_corpus(kFixtures + "corpus.jsonl");
  ASSERT_EQ(corpus.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(corpus[i].prompt, expected[i]["prompt"].get<std::string>());
    EXPECT_EQ(corpus[i].completion, expected[i]["text"].get<std::string>());
  }
}

TEST(Corpus, RefusesOrSkipsBadLines) {
  const tests::Folder folder;
  const auto path = folder / "corpus.jsonl";
  const auto refusal = [&](const std::string& text) -> std::string {
    std::ofstream(path, std::ios::binary) << text;
    try {
      read_corpus(path);
    } catch (const base::Error& error) {
      return error.what();
    }
    return "accepted";
  };
  using testing::HasSubstr;
  EXPECT_THAT(refusal("{\"text\":\"a\"}\n{\"txt\":\"b\"}"),
              HasSubstr(":2: expected either \"text\""));
  EXPECT_THAT(refusal("{\"text\":\"a\",\"completion\":\"b\"}"), HasSubstr("expected either"));
  EXPECT_THAT(refusal("{\"prompt\":\"a\"}"), HasSubstr("expected either"));
  EXPECT_THAT(refusal("{\"text\":\"\"}"), HasSubstr(":1: text: empty"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("expected an object"));
  EXPECT_THAT(refusal(""), HasSubstr("holds no record"));
  std::ofstream(path, std::ios::binary) << "{\"text\":\"a\"}\noops\n{\"text\":\"b\"}\n";
  CorpusReader reader(path, BadLine::skip);
  EXPECT_EQ(reader.next(), (TrainingText{"", "a"}));
  EXPECT_EQ(reader.next(), (TrainingText{"", "b"}));
  EXPECT_EQ(reader.next(), std::nullopt);
  EXPECT_EQ(reader.bad_lines(), 1);
}

}  // namespace
}  // namespace preimage::data
