// Ids and texts against the tokenizers library (scripts/fixtures/make_tokenizer_fixtures.py).
#include "preimage/text/tokenizer/tokenizer.hpp"

#include <gmock/gmock.h>

#include <thread>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::text {
namespace {

using base::Json;
using Ids = std::vector<int64_t>;

const std::string kFixtures = PREIMAGE_TEST_DATA "/text/fixtures/";

Tokenizer load(const std::string& name) {
  const std::string path = kFixtures + name + ".tokenizer.json";
  return parse_tokenizer(base::read_file(path), path);
}

class Reference : public testing::TestWithParam<const char*> {};

TEST_P(Reference, EncodesLikeTokenizers) {
  const Tokenizer tokenizer = load(GetParam());
  const Json texts = base::read_json(kFixtures + "texts.json");
  const Json cases = base::read_json(kFixtures + GetParam() + ".cases.json");
  EXPECT_EQ(tokenizer.vocab_size(), cases["vocab_size"].get<int64_t>());
  ASSERT_EQ(cases["encode"].size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    const auto& expected = cases["encode"][i];
    SCOPED_TRACE(base::escape_text(text));
    EXPECT_EQ(tokenizer.encode(text), expected["ids"].get<Ids>());
    EXPECT_EQ(tokenizer.encode(text, {.add_special = true}),
              expected.value("add_special", expected["ids"]).get<Ids>());
    EXPECT_EQ(tokenizer.encode(text, {.parse_special = false}),
              expected.value("no_parse", expected["ids"]).get<Ids>());
  }
}

TEST_P(Reference, DecodesLikeTokenizers) {
  const Tokenizer tokenizer = load(GetParam());
  const Json cases = base::read_json(kFixtures + GetParam() + ".cases.json");
  for (const auto& expected : cases["decode"]) {
    const auto ids = expected["ids"].get<Ids>();
    const auto text = expected["text"].get<std::string>();
    SCOPED_TRACE(expected["ids"].dump());
    EXPECT_EQ(tokenizer.decode(ids), text);
    EXPECT_EQ(tokenizer.decode(ids, {.skip_special = true}),
              expected.value("skip", expected["text"]).get<std::string>());
  }
}

TEST_P(Reference, StreamedPiecesJoinToTheWhole) {
  const std::string name = GetParam();
  if (name == "word_level") GTEST_SKIP() << "its decoder (BPEDecoder) treats the last token apart";
  const Tokenizer tokenizer = load(name);
  const Json cases = base::read_json(kFixtures + name + ".cases.json");
  for (const auto& expected : cases["decode"]) {
    const auto ids = expected["ids"].get<Ids>();
    const bool ill_formed =
        expected["text"].get<std::string>().find("\xEF\xBF\xBD") != std::string::npos;
    if ((name == "llama2" || name == "unigram_bytes") && ill_formed) continue;  // see StreamDecoder
    StreamDecoder stream(tokenizer);
    std::string joined;
    for (const int64_t id : ids) {
      const std::string piece = stream.push(id);
      EXPECT_FALSE(piece.ends_with("\xEF\xBF\xBD"));
      joined += piece;
    }
    joined += stream.finish();
    EXPECT_EQ(joined, tokenizer.decode(ids)) << expected["ids"].dump();
  }
}

TEST_P(Reference, ManyThreadsGiveTheSameIds) {
  const Tokenizer tokenizer = load(GetParam());
  std::string text;
  for (const auto& part : base::read_json(kFixtures + "texts.json"))
    text += part.get<std::string>();
  const Ids expected = tokenizer.encode(text);
  std::vector<Ids> found(4);
  std::vector<std::thread> threads;
  for (auto& ids : found) threads.emplace_back([&] { ids = tokenizer.encode(text); });
  for (auto& thread : threads) thread.join();
  for (const auto& ids : found) EXPECT_EQ(ids, expected);
}

INSTANTIATE_TEST_SUITE_P(Files, Reference,
                         testing::Values("qwen2", "llama3", "gpt2", "gpt2_prefix", "deepseek_v3",
                                         "deepseek_coder", "o200k", "lower_digits", "llama2",
                                         "suffix_unk", "t5", "bert", "unigram_bytes", "word_level"),
                         [](const auto& one) { return std::string(one.param); });

TEST(Tokenizer, GivesTokensAndFlags) {
  const Tokenizer tokenizer = load("qwen2");
  const int64_t start = tokenizer.token_to_id("<|im_start|>").value();
  EXPECT_TRUE(tokenizer.is_special(start));
  EXPECT_EQ(tokenizer.id_to_token(start), "<|im_start|>");
  EXPECT_FALSE(tokenizer.is_special(tokenizer.token_to_id("<tool>").value()));
  EXPECT_FALSE(tokenizer.is_special(0));
  EXPECT_EQ(tokenizer.token_to_id("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer.id_to_token(-1), std::nullopt);
  EXPECT_EQ(tokenizer.id_to_token(tokenizer.id_limit()), std::nullopt);
  EXPECT_EQ(tokenizer.id_limit(), tokenizer.vocab_size());
}

TEST(Tokenizer, LongRunsAreNotQuadratic) {
  const Tokenizer tokenizer = load("gpt2");
  const std::string spaces(300'000, ' ');
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(spaces)), spaces);
  const std::string letters(300'000, 'a');
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(letters)), letters);
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  const Tokenizer tokenizer = load("gpt2");
  try {
    tokenizer.encode("ab\xFFz");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data);
    EXPECT_THAT(error.what(), testing::HasSubstr("byte 2 of 4"));
  }
}

// Edits one value of a good file and returns the message.
std::string refusal(const std::string& pointer, const Json& value) {
  Json document = base::read_json(kFixtures + "qwen2.tokenizer.json");
  document[Json::json_pointer(pointer)] = value;
  try {
    parse_tokenizer(document.dump(), "t.json");
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data);
    return error.what();
  }
  return "accepted";
}

TEST(TokenizerErrors, NamePlaceFoundAndSupported) {
  using testing::AllOf;
  using testing::HasSubstr;
  EXPECT_THAT(refusal("/model/type", "Neural"),
              AllOf(HasSubstr("t.json: model.type"), HasSubstr("\"Neural\""),
                    HasSubstr("supported: BPE, Unigram")));
  EXPECT_THAT(refusal("/version", "2.0"), HasSubstr("found the string \"2.0\", expected \"1.0\""));
  EXPECT_THAT(refusal("/normalizer/type", "Magic"), HasSubstr("Lowercase, NFC"));
  EXPECT_THAT(
      refusal("/pre_tokenizer/pretokenizers/0/type", "X"),
      HasSubstr("t.json: pre_tokenizer.pretokenizers[0].type: unknown pre-tokenizer \"X\""));
  EXPECT_THAT(refusal("/pre_tokenizer/pretokenizers/0/behavior", "Eaten"), HasSubstr("Contiguous"));
  EXPECT_THAT(refusal("/decoder/type", "Y"), HasSubstr("unknown decoder"));
  EXPECT_THAT(refusal("/model/vocab/!", -3), HasSubstr("token \"!\" has the number -3"));
  EXPECT_THAT(refusal("/model/vocab/!", 5'000'000), HasSubstr("4194303"));
  EXPECT_THAT(refusal("/model/vocab/!", 1), HasSubstr("have the same id 1"));
  EXPECT_THAT(refusal("/model/merges/3", Json::array({"zz", "top"})),
              HasSubstr("model.merges[3]: token \"zz\""));
  EXPECT_THAT(refusal("/model/merges/3", "a b c"), HasSubstr("exactly one space"));
  EXPECT_THAT(refusal("/model/dropout", 0.1), HasSubstr("model.dropout"));
  EXPECT_THAT(refusal("/added_tokens/0/id", 3),
              AllOf(HasSubstr("added_tokens[0].id"), HasSubstr("expected 600")));
  EXPECT_THAT(refusal("/added_tokens/1/content", "<|endoftext|>"), HasSubstr("added twice"));
  EXPECT_THAT(refusal("/added_tokens", 3), HasSubstr("expected an array"));
  EXPECT_THAT(refusal("/model", nullptr), HasSubstr("key \"model\" is null"));
  const std::string pattern = "/pre_tokenizer/pretokenizers/0/pattern/Regex";
  EXPECT_THAT(refusal(pattern, "(a"),
              HasSubstr("pattern.Regex: the regular expression is refused"));
  EXPECT_THAT(refusal(pattern, "\\h+"), HasSubstr("the escape \"\\h\" is not supported"));
  EXPECT_THAT(refusal(pattern, "[a[b]]"), HasSubstr("a set inside a set"));
  EXPECT_THAT(refusal(pattern, "(a)\\1"), HasSubstr("the escape \"\\1\""));
  EXPECT_THAT(refusal(pattern, "\\p{Klingon}"), HasSubstr("the property \"Klingon\""));
}

TEST(TokenizerErrors, UnknownCharacterWithoutAToken) {
  Json document = base::read_json(kFixtures + "suffix_unk.tokenizer.json");
  document["model"]["unk_token"] = "<none>";
  const Tokenizer tokenizer = parse_tokenizer(document.dump(), "t.json");
  EXPECT_FALSE(tokenizer.encode("the").empty());
  try {
    tokenizer.encode("\xE2\x98\x83");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("the unk_token \"<none>\" of the tokenizer"));
  }
}

TEST(TokenizerErrors, HostilePatternHitsTheLimit) {
  Json document = base::read_json(kFixtures + "qwen2.tokenizer.json");
  document["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(?:a+)+b";
  const Tokenizer tokenizer = parse_tokenizer(document.dump(), "t.json");
  try {
    tokenizer.encode(std::string(40, 'a') + "cb");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("match limit exceeded"));
  }
}

}  // namespace
}  // namespace preimage::text
