// Lines of the engine tools: what is refused, in which words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "preimage/base/error.hpp"
#include "preimage/lines/tokenize.hpp"
#include "tools.hpp"

namespace preimage::tools {
namespace {

using testing::HasSubstr;

const std::string kFixtures = std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/";

// "65 F:7: ..." of the error that reading a line ends in; "" when it is taken.
std::string refusal(LineTool& tool, const std::string& text) {
  tool.prepare(1);
  try {
    const auto line = lines::parse_line({7, text}, "F");
    tool.read(0, base::JsonNode(line, "F:7"), text);
  } catch (const base::Error& error) {
    return std::to_string(static_cast<int>(error.code())) + " " + error.what();
  }
  return "";
}

TEST(Lines, Generate) {
  const auto tool = make_generate({.model = kFixtures + "qwen2_text"});
  const auto expect = [&](const std::string& line, const std::string& text) {
    EXPECT_THAT(refusal(*tool, line), HasSubstr(text)) << line;
  };
  EXPECT_EQ(
      refusal(
          *tool,
          R"({"prompt":"a","temperature":0,"top_k":0,"top_p":1.0,"num_beams":1,"early_stopping":false,"seed":5})"),
      "");
  EXPECT_EQ(refusal(*tool,
                    R"({"prompt":null,"prompt_ids":[5],"stop":[],"embedding":null,"unknown":1e3})"),
            "");
  EXPECT_EQ(refusal(*tool, R"({"prompt_ids":[5],"max_new_tokens":255})"), "");
  expect("", "65 F:7: found a blank line");
  expect("[1]", "65 F:7: found an array of 1 elements, expected a JSON object");
  expect("{\"prompt\":\"a\",\"prompt\":\"a\"}", "65 F:7:");
  expect("{\"prompt\":\"\xFF\"}", "65 F:7:");
  expect("{}", "65 F:7: found no \"prompt\"");
  expect(R"({"prompt":""})", "65 F:7: found an empty prompt");
  expect(R"({"prompt":"a","prompt_ids":[1]})", "65 F:7: found both");
  expect(R"({"prompt_ids":[5,304]})", "65 F:7: prompt_ids[1]: found 304, allowed are 0 to 303");
  expect(R"({"prompt_ids":[-1]})", "65 F:7: prompt_ids[0]: found -1");
  expect(R"({"prompt_ids":[1.0]})",
         "65 F:7: prompt_ids[0]: found the number 1.0, expected an integer");
  expect(R"({"prompt":"a","max_new_tokens":256})",
         "65 F:7: found a prompt of 1 tokens and max_new_tokens 256");
  expect(R"({"prompt":"a","max_new_tokens":-1})", "65 F:7: max_new_tokens: found -1");
  expect(R"({"prompt":7})", "65 F:7: prompt: found the number 7");
  expect(R"({"prompt":"a","stop":["b",""]})", "65 F:7: stop: found an empty stop string");
  expect(R"({"prompt":"a","stop_ids":[999]})", "65 F:7: stop_ids[0]: found 999");
  expect(R"({"prompt":"a","id":1.5})", "65 F:7: id: found the number 1.5");
  expect(R"({"prompt":"a","n":0})", "65 F:7: n: found 0");
  expect(R"({"prompt":"a","temperature":"hot"})",
         "65 F:7: temperature: found the string \"hot\", expected a number");
  EXPECT_EQ(refusal(*tool, R"({"prompt":"a","temperature":0.7,"top_k":5,"top_p":0.9,"min_p":0.1,)"
                           R"("repetition_penalty":1.1,"no_repeat_ngram":3,"n":4,"seed":7})"),
            "");
  expect(R"({"prompt":"a","temperature":-1})", "65 F:7: temperature is -1, expected 0 or above");
  expect(R"({"prompt":"a","top_p":0})", "65 F:7: top_p is 0, expected above 0, at most 1");
  expect(R"({"prompt":"a","min_p":1.5})", "65 F:7: min_p is 1.5, expected 0 to 1");
  expect(R"({"prompt":"a","repetition_penalty":0})", "65 F:7: repetition_penalty is 0");
  expect(R"({"prompt":"a","top_k":-1})", "65 F:7: top_k: found -1");
  EXPECT_EQ(
      refusal(*tool, R"({"prompt":"a","num_beams":4,"n":4,"early_stopping":"never",)"
                     R"("length_penalty":-0.5,"repetition_penalty":1.2,"no_repeat_ngram":3})"),
      "");
  expect(R"({"prompt":"a","num_beams":0})", "65 F:7: num_beams: found 0");
  expect(R"({"prompt":"a","num_beams":4,"n":5})", "65 F:7: found n 5 and num_beams 4");
  expect(R"({"prompt":"a","num_beams":2,"early_stopping":"maybe"})",
         "65 F:7: early_stopping: found");
  expect(R"({"prompt":"a","num_beams":2,"temperature":1})", "65 F:7: temperature: does not go");
  expect(R"({"prompt":"a","num_beams":2,"stop":""})", "65 F:7: stop: found an empty stop string");
  expect(R"({"messages":[],"num_beams":2})", "no chat template");
  expect(R"({"prompt":"a","num_beams":2,"max_new_tokens":300})", "65 F:7: found a prompt of 1");
  expect(R"({"prompt":"","num_beams":2})", "65 F:7: found an empty prompt");
  for (const char* beams : {"", R"("num_beams":2,)"})
    expect(std::string("{") + beams + R"("prompt":"a","embedding":[1]})",
           "65 F:7: embedding: is read by");
  expect(R"({"messages":[]})", "no chat template");
  expect(R"({"messages":[],"prompt":"a"})", "65 F:7: found both \"messages\" and a prompt");
}

TEST(Lines, GenerateFromEmbeddings) {
  const auto inversion = make_generate({.model = kFixtures + "inversion"});
  const auto corrector = make_generate({.model = kFixtures + "corrector"});
  const auto vector = base::Json(std::vector<float>(32, 0.5f)).dump();
  EXPECT_EQ(refusal(*inversion, "{\"embedding\":" + vector + "}"), "");
  EXPECT_EQ(refusal(*inversion, "{\"num_beams\":8,\"embedding\":" + vector + "}"), "");
  EXPECT_THAT(refusal(*inversion, R"({"prompt_ids":[5]})"), HasSubstr("found no \"embedding\""));
  EXPECT_THAT(refusal(*inversion, R"({"embedding":[1,2]})"),
              HasSubstr("embedding: found 2 numbers"));
  EXPECT_THAT(refusal(*corrector, "{\"prompt_ids\":[5],\"embedding\":" + vector + "}"),
              HasSubstr("found no \"hypothesis_embedding\""));
  EXPECT_EQ(refusal(*corrector, "{\"prompt_ids\":[5],\"hypothesis_embedding\":" + vector +
                                    ",\"embedding\":" + vector + "}"),
            "");
}

TEST(Lines, ScoreEmbedTokenize) {
  const EngineOptions engine{.model = kFixtures + "qwen2_text"};
  const auto score = make_score(engine, 0), embed = make_embed(engine, "mean"),
             tokenize = lines::make_tokenize({.model = engine.model});
  EXPECT_EQ(refusal(*score, R"({"prompt":"a","continuation":"b"})"), "");
  EXPECT_THAT(refusal(*score, R"({"prompt":"a"})"), HasSubstr("65 F:7: found no \"continuation\""));
  EXPECT_THAT(refusal(*score, R"({"continuation":"a"})"), HasSubstr("65 F:7: found no \"prompt\""));
  EXPECT_THAT(refusal(*score, R"({"prompt":"a","continuation":""})"),
              HasSubstr("65 F:7: found an empty continuation"));
  const auto ids = base::Json(std::vector<int64_t>(257, 5)).dump();
  EXPECT_THAT(refusal(*score, "{\"prompt\":\"a\",\"continuation_ids\":" + ids + "}"),
              HasSubstr("65 F:7: found 258 tokens"));
  EXPECT_THAT(refusal(*embed, "{\"ids\":" + ids + "}"), HasSubstr("65 F:7: found 257 tokens"));
  EXPECT_THAT(refusal(*embed, R"({"text":""})"), HasSubstr("65 F:7: found an empty text"));
  EXPECT_THAT(refusal(*tokenize, R"({"text":"a","ids":[1]})"), HasSubstr("65 F:7: found several"));
  EXPECT_THAT(refusal(*tokenize, R"({})"), HasSubstr("65 F:7: found no \"text\""));
  EXPECT_THAT(refusal(*tokenize, R"({"ids":[300000]})"), HasSubstr("65 F:7: ids[0]: found 300000"));
  EXPECT_THAT(refusal(*tokenize, R"({"messages":[]})"), HasSubstr("no chat template"));
}

TEST(Lines, AModelWithoutATokenizer) {
  const auto tool = make_generate({.model = kFixtures + "qwen2_tied"});
  EXPECT_EQ(refusal(*tool, R"({"prompt_ids":[5]})"), "");
  EXPECT_THAT(refusal(*tool, R"({"prompt":"a"})"),
              HasSubstr("has no tokenizer; give \"prompt_ids\""));
  EXPECT_THAT(refusal(*tool, R"({"prompt_ids":[5],"stop":["a"]})"), HasSubstr("give \"stop_ids\""));
}

}  // namespace
}  // namespace preimage::tools
