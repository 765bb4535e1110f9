// time limit: 90 s
// generate, score, embed and tokenize as commands, against what transformers and tokenizers gave
// for the same checkpoint (scripts/fixtures/make_lm_fixtures.py).
#include <cmath>

#include "app/program.hpp"

namespace preimage::app::tests {
namespace {

using testing::HasSubstr;

class Tools : public ProgramTest {
 protected:
  const std::string model = std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/qwen2_text";
  const Json truth = base::read_json(model + "/expected.json");

  std::vector<std::string> command(const std::string& tool,
                                   std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {tool, "--model", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  std::vector<Json> run(const std::vector<std::string>& arguments,
                        const std::vector<Json>& lines) const {
    std::string input;
    for (const auto& line : lines) input += line.dump() + "\n";
    const auto ended = preimage(arguments, input);
    EXPECT_EQ(ended.code, 0) << ended.err;
    EXPECT_EQ(ended.err, "");
    return lines_of(ended.out);
  }
  static void expect_near(const Json& ours, const Json& theirs, double tolerance) {
    ASSERT_EQ(ours.size(), theirs.size());
    for (size_t i = 0; i < ours.size(); ++i)
      EXPECT_NEAR(ours[i].get<double>(), theirs[i].get<double>(), tolerance) << i;
  }
};

TEST_F(Tools, GenerateAsTransformersDo) {
  std::vector<Json> lines;
  for (const auto& row : truth) {
    lines.push_back({{"prompt", row["prompt"]},
                     {"max_new_tokens", 16},
                     {"ignore_eos", true},
                     {"logprobs", 2},
                     {"carried", {1, "é"}},
                     {"text", "reserved"}});
    lines.push_back({{"id", "ids of " + row["prompt"].get<std::string>()},
                     {"prompt_ids", row["prompt_ids"]},
                     {"max_new_tokens", 16},
                     {"ignore_eos", true}});
  }
  const auto out = run(command("generate"), lines);
  ASSERT_EQ(out.size(), lines.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const auto& row = truth[i / 2];
    EXPECT_EQ(out[i]["id"], i % 2 ? lines[i]["id"] : Json(i + 1));
    EXPECT_EQ(out[i]["index"], 0);
    EXPECT_EQ(out[i]["ids"], row["ids"]);
    EXPECT_EQ(out[i]["text"], row["text"]);
    EXPECT_EQ(out[i]["finish_reason"], "length");
    expect_near(out[i]["logprobs"], row["logprobs"], 2e-5);
    EXPECT_FALSE(out[i].contains("prompt") || out[i].contains("max_new_tokens"));
    EXPECT_EQ(out[i].contains("top"), i % 2 == 0);
    EXPECT_EQ(out[i].value("carried", Json()), i % 2 ? Json() : Json({1, "é"}));
  }
  EXPECT_EQ(out[0]["top"][3][0], Json({out[0]["ids"][3], out[0]["logprobs"][3]}));
  EXPECT_EQ(out[0]["logprobs"], out[1]["logprobs"]);
}

// A run that gave its bits up for speed says so in every line, and a line cannot claim it.
TEST_F(Tools, FastIsWrittenIntoTheResults) {
  const std::vector<Json> lines = {
      {{"prompt_ids", truth[2]["prompt_ids"]}, {"max_new_tokens", 2}, {"fast", "claimed"}}};
  EXPECT_EQ(run(command("generate", {"--fast"}), lines)[0].value("fast", Json()), true);
  EXPECT_FALSE(run(command("generate"), lines)[0].contains("fast"));
}

TEST_F(Tools, GenerateStops) {
  const Json ids = {283, 290, 265, 277, 106, 15, 224, 293, 291, 292, 295, 202};
  const Json made = {284, 30};  // what transformers writes behind them: "of" ";" ...
  const auto out = run(command("generate", {"--batch", "2"}),
                       {{{"prompt_ids", ids}, {"stop", Json::array({"zz", ";"})}, {"n", 2}},
                        {{"prompt_ids", ids}, {"stop", "f;"}},
                        {{"prompt_ids", ids}, {"stop_ids", Json::array({made[1]})}},
                        {{"prompt_ids", ids}, {"max_new_tokens", 0}}});
  ASSERT_EQ(out.size(), 5u);
  EXPECT_EQ(out[0]["text"], "of");
  EXPECT_EQ(out[0]["finish_reason"], "stop");
  EXPECT_EQ(out[1]["index"], 1);
  EXPECT_EQ(out[1]["ids"], out[0]["ids"]);
  EXPECT_EQ(out[2]["text"], "o");
  EXPECT_EQ(out[2]["ids"].size(), 2u);
  EXPECT_EQ(out[3]["finish_reason"], "eos");
  EXPECT_EQ(out[3]["ids"], Json::array({made[0]}));
  EXPECT_EQ(out[4]["ids"], Json::array());
}

TEST_F(Tools, GenerateFromStoredSoftPrompts) {
  std::vector<Json> lines;
  for (size_t i = 0; i < 3; ++i) {
    const auto ids = truth[i]["prompt_ids"].get<std::vector<int64_t>>();
    lines.push_back({{"soft_prompt", base::str(model, "/soft_prompts.h5:prompts[", i, "]")},
                     {"prompt_ids", std::vector<int64_t>(ids.begin() + 4, ids.end())},
                     {"max_new_tokens", 16},
                     {"ignore_eos", true}});
  }
  const auto out = run(command("generate"), lines);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(out[i]["ids"], truth[i]["ids"]);
  const auto refused = [&](const std::string& reference, const std::string& text) {
    expect_refused(command("generate"), 65, text, Json({{"soft_prompt", reference}}).dump());
  };
  refused("nothing.h5:a", "standard input:1: soft_prompt: nothing.h5");
  refused(model + "/soft_prompts.h5:prompts[3]", "prompts");
  refused(model + "/soft_prompts.h5:prompts", "expected [tokens, 32]");
}

TEST_F(Tools, EveryNumberOfRanksWritesTheSameFile) {
  std::vector<Json> lines;
  for (int i = 0; i < 40; ++i) {
    const auto& row = truth[static_cast<size_t>(i) % 4];
    lines.push_back({{"id", i},
                     {"prompt", row["prompt"].get<std::string>() + std::to_string(i * i)},
                     {"max_new_tokens", i % 9}});
  }
  put_lines("in", lines);
  for (const int ranks : {1, 2, 3}) {
    const auto ended = preimage(
        command("generate",
                {"--in", path("in"), "--out", path(base::str("out", ranks)), "--batch", "5"}),
        "", ranks);
    EXPECT_EQ(ended.code, 0) << ended.err;
  }
  const auto whole = text_of("out1");
  ASSERT_EQ(lines_of(whole).size(), lines.size());
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines_of(whole)[i]["id"], lines[i]["id"]);
  EXPECT_EQ(text_of("out2"), whole);
  EXPECT_EQ(text_of("out3"), whole);
}

TEST_F(Tools, TenThousandLinesOnAnyNumberOfRanks) {
  std::vector<Json> prompts, continued;
  for (int i = 0; i < 10'000; ++i) {
    const Json ids = {1 + i % 200, 7, i / 50};
    prompts.push_back({{"prompt_ids", ids}, {"max_new_tokens", 2}, {"ignore_eos", true}});
    if (i % 2 == 0) prompts.back().update({{"temperature", 1.5}, {"top_k", 50}, {"seed", i / 10}});
    continued.push_back({{"prompt_ids", ids}, {"continuation_ids", {i % 300, 5}}});
  }
  put_lines("generate", prompts), put_lines("score", continued);
  for (const char* tool : {"generate", "score"}) {
    for (const int ranks : {1, 2}) {
      const auto out = base::str(tool, ".out", ranks);
      const auto ended = preimage(
          command(tool, {"--in", path(tool), "--out", path(out), "--batch", "256"}), "", ranks);
      EXPECT_EQ(ended.code, 0) << ended.err;
    }
    const auto whole = text_of(base::str(tool, ".out1"));
    EXPECT_EQ(whole, text_of(base::str(tool, ".out2"))) << tool;
    const auto lines = lines_of(whole);
    ASSERT_EQ(lines.size(), 10'000u) << tool;
    for (size_t i = 0; i < lines.size(); ++i) ASSERT_EQ(lines[i]["id"], i + 1);
  }
}

TEST_F(Tools, NCandidatesOfOneLine) {
  const Json line = {{"prompt", "the cat"},       {"max_new_tokens", 6},
                     {"temperature", 1.3},        {"n", 5},
                     {"repetition_penalty", 1.1}, {"seed", 3}};
  const auto out = run(command("generate"), {line, line});
  ASSERT_EQ(out.size(), 10u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(out[i]["index"], i);
    EXPECT_EQ(out[i]["id"], 1);
    EXPECT_EQ(out[i]["ids"], out[5 + i]["ids"]);  // the key is seed and index, not the line
    double sum = 0;
    for (const auto& logprob : out[i]["logprobs"]) sum += logprob.get<double>();
    EXPECT_NEAR(out[i]["cumulative_logprob"].get<double>(), sum, 1e-4);
  }
  EXPECT_NE(out[0]["ids"], out[1]["ids"]);
}

TEST_F(Tools, ScoreAsTransformersDo) {
  std::vector<Json> lines;
  for (const auto& row : truth)
    lines.push_back(
        {{"prompt", row["prompt"]}, {"continuation_ids", row["ids"]}, {"top", "reserved"}});
  const auto out = run(command("score"), lines);
  for (size_t i = 0; i < out.size(); ++i) {
    expect_near(out[i]["logprobs"], truth[i]["logprobs"], 2e-5);
    EXPECT_FALSE(out[i].contains("top"));
  }
  const auto top = run(command("score", {"--top", "1"}), {lines[1]});
  EXPECT_EQ(top[0]["logprobs"], out[1]["logprobs"]);
  EXPECT_EQ(top[0]["top"][0],
            Json::array({Json::array({truth[1]["ids"][0], top[0]["logprobs"][0]})}));
}

TEST_F(Tools, EmbedPools) {
  std::vector<Json> lines;
  for (const auto& row : truth) lines.push_back({{"text", row["prompt"]}});
  for (const std::string pooling : {"mean", "first"}) {
    const auto out = run(command("embed", {"--pooling", pooling}), lines);
    for (size_t i = 0; i < out.size(); ++i)
      expect_near(out[i]["embedding"], truth[i][pooling], 2e-5);
  }
  expect_refused(command("embed"), 78, "this checkpoint has no modules.json", "{\"text\":\"a\"}");
}

TEST_F(Tools, TokenizeBothWays) {
  std::vector<Json> lines;
  for (const auto& row : truth) {
    lines.push_back({{"text", row["prompt"]}});
    lines.push_back({{"ids", row["ids"]}});
  }
  lines.push_back({{"text", "a<|end|>a"}});
  const auto out = run(command("tokenize"), lines);
  for (size_t i = 0; i < truth.size(); ++i) {
    EXPECT_EQ(out[2 * i], Json({{"id", 2 * i + 1}, {"ids", truth[i]["prompt_ids"]}}));
    EXPECT_EQ(out[2 * i + 1], Json({{"id", 2 * i + 2}, {"text", truth[i]["text"]}}));
  }
  EXPECT_EQ(out.back()["ids"], Json({68, 2, 68}));
  const auto skipped = run(command("tokenize", {"--skip-special"}), {{{"ids", {68, 2, 68}}}});
  EXPECT_EQ(skipped[0]["text"], "aa");
}

TEST_F(Tools, ThousandsOfLines) {
  std::vector<Json> lines;
  for (int i = 0; i < 5000; ++i) lines.push_back({{"text", "line " + std::to_string(i)}});
  EXPECT_EQ(run(command("tokenize"), lines).size(), lines.size());
}

TEST_F(Tools, BadLinesAreRefusedBeforeAnythingRuns) {
  const auto refused = [&](const std::string& line, const std::string& text, int code) {
    expect_refused(command("generate", {"--out", path("out")}), code, "standard input:2:" + text,
                   "{\"prompt\":\"a\"}\n" + line + "\n");
    EXPECT_FALSE(fs::exists(path("out")));
  };
  refused("{\"prompt\":\"a\"", "14: JSON ends too early", 65);
  refused("{\"prompt\":\"a\",\"id\":1}", " found the id 1 of line 1 again", 65);
}

TEST_F(Tools, BadLinesAreSkippedAndCounted) {
  const auto ended = preimage(command("tokenize", {"--on-bad-line", "skip"}),
                              "{\"text\":\"a\"}\n{\n\n{\"text\":\"b\"}\n");
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.err, HasSubstr("skipped: standard input:2:"));
  EXPECT_THAT(ended.err, HasSubstr("2 bad lines skipped"));
  ASSERT_EQ(lines_of(ended.out).size(), 2u);
  EXPECT_EQ(lines_of(ended.out)[1]["id"], 4);
}

TEST_F(Tools, WrongFoldersAndFiles) {
  const std::string line = "{\"prompt\":\"a\"}";
  expect_refused({"generate", "--model", "nowhere"}, 78, "nowhere: no such folder", line);
  expect_refused(command("generate", {"--in", path("none")}), 78, "none: no such file");
  expect_refused(command("generate", {"--out", path("no/such/folder")}), 74, "does not exist",
                 line);
  const std::string other = std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/qwen2_tied";
  const auto wordless =
      preimage({"generate", "--model", other}, "{\"prompt_ids\":[9],\"max_new_tokens\":2}");
  EXPECT_EQ(wordless.code, 0) << wordless.err;
  EXPECT_TRUE(lines_of(wordless.out)[0]["text"].is_null());
}

}  // namespace
}  // namespace preimage::app::tests
