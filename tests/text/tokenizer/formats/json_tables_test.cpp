// The tables of a tokenizer.json read without a tree: what the tree says, or nothing.
#include "tokenizer/formats/json_tables.hpp"

#include <gmock/gmock.h>

#include "preimage/base/file.hpp"
#include "preimage/base/json.hpp"

namespace preimage::text {
namespace {

using base::Json;

const std::string kFixtures = PREIMAGE_TEST_DATA "/text/fixtures/";

std::string merge_text(const Json& merge) {
  if (merge.is_string()) return merge.get<std::string>();
  return merge[0].get<std::string>() + " " + merge[1].get<std::string>();
}

class Tables : public testing::TestWithParam<const char*> {};

TEST_P(Tables, AreThoseOfTheTree) {
  const auto text = base::read_file(kFixtures + GetParam() + ".tokenizer.json");
  Json whole = Json::parse(text);
  const auto tables = cut_tables(text);
  ASSERT_TRUE(tables.has_value());
  auto& model = whole["model"];
  EXPECT_EQ(tables->vocabulary.size(), model["vocab"].size());
  for (const auto& [token, id] : model["vocab"].items()) {
    const auto it = tables->vocabulary.find(token);
    ASSERT_NE(it, tables->vocabulary.end()) << token;
    EXPECT_EQ(it->second, id.get<uint32_t>());
  }
  const Json merges = model.value("merges", Json::array());
  ASSERT_EQ(tables->merges.size(), merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto& merge = tables->merges[i];
    EXPECT_EQ(*merge.left + " " + *merge.right, merge_text(merges[i]));
    EXPECT_EQ(model["vocab"][*merge.left], merge.left_id);
    EXPECT_EQ(model["vocab"][*merge.right], merge.right_id);
  }
  model["vocab"] = Json::object();
  if (model.contains("merges")) model["merges"] = Json::array();
  EXPECT_EQ(Json::parse(tables->rest), whole);
}

INSTANTIATE_TEST_SUITE_P(Files, Tables,
                         testing::Values("qwen2", "llama3", "gpt2", "llama2", "suffix_unk", "bert",
                                         "word_level", "deepseek_v3"),
                         [](const auto& one) { return std::string(one.param); });

std::string with_model(const std::string& model) {
  return R"({"version":"1.0", "added_tokens":[{"content":"\"]}{"}], "model": )" + model +
         R"(, "x":[-1.5e3,true,null,"\u0041"]})";
}

TEST(JsonTables, StringsMayBeEscaped) {
  const auto tables =
      cut_tables(with_model(R"({"vocab":{"\u0120a":0,"\ud83d\ude00":1,"\"\\\n":2},"merges":[]})"));
  ASSERT_TRUE(tables.has_value());
  EXPECT_EQ(tables->vocabulary.at("\xC4\xA0"
                                  "a"),
            0u);
  EXPECT_EQ(tables->vocabulary.at("\xF0\x9F\x98\x80"), 1u);
  EXPECT_EQ(tables->vocabulary.at("\"\\\n"), 2u);
  EXPECT_EQ(tables->rest, with_model(R"({"vocab":{},"merges":[]})"));
}

TEST(JsonTables, LeaveTheIrregularToTheReaderOfTheWhole) {
  for (const char* model : {
           R"({"vocab":[["a",0.5]]})",                 // Unigram
           R"({"vocab":{"a":0,"a":1}})",               // twice
           R"({"vocab":{"a":0,"b":0}})",               // the same id
           R"({"vocab":{"a":-1}})",                    // no id
           R"({"vocab":{"a":01}})",                    // no JSON
           R"({"vocab":{"a":1.0}})",                   // no integer
           R"({"vocab":{"a":99999999}})",              // too large
           R"({"vocab":{"a":0,}})",                    // a comma too many
           R"({"vocab":{"a":0},"merges":["a b"]})",    // no such token
           R"({"vocab":{"a":0},"merges":["a a a"]})",  // three parts
           R"({"vocab":{"a":0},"merges":[["a"]]})",    // one
           R"({"merges":["a a"],"vocab":{"a":0}})",    // another order
           R"({"vocab":{"a":0},"vocab":{"b":0}})",     // two vocabularies
           R"({"vocab":{"\ud800":0}})",                // half a character
           R"({"vocab":{"a)"
           "\n"
           R"(":0}})",             // a line break
           R"({"vocab":{"a":0})",  // not closed
           R"({"type":"BPE"})",    // none
           R"(3)",
       }) {
    EXPECT_FALSE(cut_tables(with_model(model)).has_value()) << model;
  }
  EXPECT_FALSE(cut_tables("").has_value());
  EXPECT_FALSE(cut_tables(with_model(R"({"vocab":{"a":0}})") + "x").has_value());
  EXPECT_FALSE(cut_tables("{\"model\":{\"vocab\":{\"\xFF\":0}}}").has_value());
}

}  // namespace
}  // namespace preimage::text
