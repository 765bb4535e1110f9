// Every key that transformers can write (scripts/fixtures/make_config_keys.py) is used, known to be
// without effect, or refused by name.
#include "tokenizer/formats/tokenizer_config.hpp"

#include <gmock/gmock.h>

#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"
#include "preimage/text/chat_template.hpp"
#include "preimage/text/generation_config.hpp"
#include "text/tokenizer_folder.hpp"

namespace preimage::text {
namespace {

using base::Json;
using testing::ElementsAre;
using testing::HasSubstr;

Json keys() {
  return base::read_json(PREIMAGE_TEST_DATA "/text/fixtures/config_keys.json");
}

TEST(ConfigKeys, OfTokenizerConfigAreKnown) {
  const Json list = keys()["tokenizer_config"];
  ASSERT_GT(list.size(), 150u);
  for (const auto& key : list) {
    const auto name = key.get<std::string>();
    // Any other "..._token" is a special token of the checkpoint's own.
    if (name.ends_with("_token")) continue;
    EXPECT_NE(tokenizer_key(name), TokenizerKey::unknown) << name;
  }
  EXPECT_EQ(tokenizer_key("no_such_key"), TokenizerKey::unknown);
}

TEST(ConfigKeys, OfGenerationConfigAreKnown) {
  const Json list = keys()["generation_config"];
  ASSERT_GT(list.size(), 60u);
  for (const auto& key : list) EXPECT_TRUE(knows_generation_key(key.get<std::string>())) << key;
  EXPECT_FALSE(knows_generation_key("no_such_key"));
}

TEST(ConfigKeys, ArgumentsOfApplyChatTemplateAreTakenOrRefused) {
  const std::set<std::string> taken = {"tools",
                                       "documents",
                                       "chat_template",
                                       "add_generation_prompt",
                                       "continue_final_message",
                                       "return_assistant_tokens_mask"};
  const auto chat = parse_chat_template("{{ messages[0].content }}", "t");
  const auto messages = OrderedJson::parse(R"([{"role":"user","content":"hi"}])");
  const Json list = keys()["chat_arguments"];
  ASSERT_GT(list.size(), 10u);
  for (const auto& key : list) {
    const auto name = key.get<std::string>();
    if (taken.contains(name)) continue;
    try {
      chat.render({{"messages", messages}, {name, "something"}});
      ADD_FAILURE() << name << " is taken as a variable";
    } catch (const base::Error& error) {
      EXPECT_THAT(error.what(), testing::StartsWith(name + ": found \"something\""));
    }
    EXPECT_EQ(chat.render({{"messages", messages}, {name, nullptr}}).text, "hi");
  }
}

class Config : public TokenizerFolder {};

TEST_F(Config, UnknownKeysAreSaid) {
  write("tokenizer_config.json", R"({"tokenizer_class":"X","my_own_key":3,"my_token":"<x>"})");
  const auto config = read_tokenizer_config(folder_.path());
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("\"my_own_key\" is not known")));
  ASSERT_EQ(config.named.size(), 1u);
  EXPECT_EQ(config.named[0].first, "my_token");
}

TEST_F(Config, SettingsOfAGeneration) {
  write("generation_config.json", R"({"do_sample":false,"temperature":0.6,"repetition_penalty":1.05,
      "num_beams":1,"length_penalty":2.0,"max_length":20,"eos_token_id":[2,-1,3.0],"novel":1})");
  const auto generation = read_generation_config(folder_.path());
  EXPECT_TRUE(generation.here);
  EXPECT_THAT(generation.eos, ElementsAre(2, 3));
  EXPECT_THAT(generation.settings, ElementsAre("novel 1", "repetition_penalty 1.05"));
  write("generation_config.json", R"({"do_sample":true,"temperature":0.6,"top_k":50})");
  EXPECT_THAT(read_generation_config(folder_.path()).settings,
              ElementsAre("do_sample true", "temperature 0.6"));
}

TEST_F(Config, LengthsAndSides) {
  copy("qwen2.tokenizer.json", "tokenizer.json");
  write("tokenizer_config.json", R"({"truncation_side":"left","model_max_length":512})");
  auto tokenizer = load_tokenizer(folder_.path());
  EXPECT_TRUE(tokenizer.truncates_left());
  EXPECT_EQ(tokenizer.max_length(), 512);
  write("tokenizer_config.json", R"({"model_max_length":1000000000000000019884624838656})");
  tokenizer = load_tokenizer(folder_.path());
  EXPECT_FALSE(tokenizer.truncates_left());
  EXPECT_EQ(tokenizer.max_length(), std::nullopt);
}

}  // namespace
}  // namespace preimage::text
