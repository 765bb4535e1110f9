// embed, generate and score on encoders and encoder-decoders, line by line, against what
// transformers and sentence-transformers gave for the same checkpoints
// (scripts/fixtures/make_encoder_fixtures.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "preimage/base/error.hpp"
#include "tools/run_lines.hpp"

namespace preimage::tools {
namespace {

using base::Json;

const std::string kFixtures = std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/";

Json truth(const std::string& name) {
  return base::read_json(kFixtures + name + "/expected.json");
}

TEST(EncoderTools, TextsAndTheirIdsHaveOneVector) {
  for (const std::string name : {"bert", "gtr"}) {
    const auto expected = truth(name);
    std::vector<Json> texts, ids;
    for (size_t i = 0; i < expected["texts"].size(); ++i) {
      texts.push_back({{"text", expected["texts"][i]}});
      ids.push_back({{"ids", expected["sources"][i]}});
    }
    for (const std::string pooling : {"pipeline", "mean"}) {
      const auto by_text =
          run(*make_embed({.model = kFixtures + name, .batch = 2}, pooling), texts);
      const auto by_ids = run(*make_embed({.model = kFixtures + name}, pooling), ids);
      for (size_t i = 0; i < texts.size(); ++i) {
        // Bare pooling does not cut a text at the pipeline's limit (16 or 24 tokens).
        const bool cut = pooling == "mean" && expected["sources"][i].size() >= 16;
        if (cut) continue;
        EXPECT_EQ(by_text[i]["embedding"], by_ids[i]["embedding"]) << name << i;
      }
    }
    const auto vectors = run(*make_embed({.model = kFixtures + name}, "pipeline"), ids);
    double norm = 0;
    for (const auto& value : vectors[0]["embedding"]) norm += std::pow(value.get<double>(), 2);
    EXPECT_NEAR(norm, 1, 1e-5);
  }
}

TEST(EncoderTools, GenerateAndScoreWithT5) {
  const auto expected = truth("t5_relu");
  const auto& beams = expected["beams"][1];
  std::vector<Json> lines, scored;
  for (size_t i = 0; i < expected["sources"].size(); ++i) {
    lines.push_back({{"prompt_ids", expected["sources"][i]}, {"max_new_tokens", 24}});
    lines.push_back({{"prompt_ids", expected["sources"][i]},
                     {"max_new_tokens", 24},
                     {"num_beams", beams["num_beams"]},
                     {"early_stopping", beams["early_stopping"]},
                     {"n", beams["num_return_sequences"]},
                     {"logprobs", 2}});
  }
  const auto out = run(*make_generate({.model = kFixtures + "t5_relu"}), lines);
  const size_t n = beams["num_return_sequences"];
  ASSERT_EQ(out.size(), expected["sources"].size() * (1 + n));
  for (size_t i = 0; i < expected["sources"].size(); ++i) {
    const auto* group = &out[i * (1 + n)];
    EXPECT_EQ(group[0]["ids"], expected["greedy"][i]["ids"]);
    for (size_t k = 0; k < n; ++k) {
      const auto& one = group[1 + k];
      EXPECT_EQ(one["ids"], beams["rows"][i]["ids"][k]);
      EXPECT_EQ(one["index"], k);
      ASSERT_EQ(one["top"].size(), one["ids"].size());
    }
    scored.push_back(
        {{"prompt_ids", expected["sources"][i]}, {"continuation_ids", group[1]["ids"]}});
  }
  const auto scores = run(*make_score({.model = kFixtures + "t5_relu"}, 0), scored);
  for (size_t i = 0; i < scores.size(); ++i)
    EXPECT_EQ(scores[i]["logprobs"], out[i * (1 + n) + 1]["logprobs"]);
}

TEST(EncoderTools, GenerateFromEmbeddings) {
  const auto expected = truth("inversion");
  const auto targets = expected["targets"];
  std::vector<Json> lines;
  for (const auto& target : targets) {
    lines.push_back({{"embedding", target}, {"max_new_tokens", 24}});
    lines.push_back({{"embedding", target},
                     {"max_new_tokens", 24},
                     {"num_beams", 8},
                     {"repetition_penalty", 1.2},
                     {"no_repeat_ngram", 3}});
  }
  const auto out = run(*make_generate({.model = kFixtures + "inversion"}), lines);
  for (size_t i = 0; i < targets.size(); ++i) {
    EXPECT_EQ(out[2 * i]["ids"], expected["greedy"][i]["ids"]);
    EXPECT_EQ(out[2 * i + 1]["ids"], expected["beams"][4]["rows"][i]["ids"][0]);
  }
}

TEST(EncoderTools, CorrectionsOfAnInversion) {
  const EngineOptions options{.model = kFixtures + "inversion",
                              .corrector = kFixtures + "corrector",
                              .embedder = kFixtures + "gtr"};
  const auto truth = base::read_json(kFixtures + "corrections.json");
  std::vector<Json> lines, rows;
  for (const auto& row : truth) {
    Json line = {{"embedding", row["target"]}, {"max_new_tokens", 19}};
    for (const char* name : {"steps", "sequence_beams"}) line[name] = row[name];
    if (row["settings"].contains("repetition_penalty"))
      line.update({{"repetition_penalty", 1.2}, {"no_repeat_ngram", 3}});
    if (row["steps"] == 0) line["max_new_tokens"] = 31;  // the length of a first guess
    lines.push_back(line);
    rows.push_back(row);
  }
  const auto out = run(*make_generate(options), lines);
  ASSERT_EQ(out.size(), rows.size());
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i].contains("cosine"), rows[i]["steps"] > 0) << i;
    if (rows[i]["steps"] == 0) continue;  // this model has no tokenizer of its own
    EXPECT_EQ(out[i]["text"], rows[i]["text"]) << i;
    EXPECT_NEAR(out[i]["cosine"].get<double>(), rows[i]["cosine"].get<double>(), 1e-5) << i;
  }
}

std::string refusal(LineTool& tool, const Json& line) {
  try {
    run(tool, {line});
  } catch (const base::Error& error) {
    return std::to_string(static_cast<int>(error.code())) + " " + error.what();
  }
  return "";
}

TEST(EncoderTools, WhatTheyRefuse) {
  using testing::HasSubstr;
  EXPECT_THAT(refusal(*make_embed({.model = kFixtures + "t5_relu"}, "pipeline"), {{"ids", {5}}}),
              HasSubstr("no modules.json"));
  EXPECT_THAT(refusal(*make_embed({.model = kFixtures + "bert"}, "mean"),
                      {{"ids", std::vector<int>(41, 5)}}),
              HasSubstr("context holds 40"));
  EXPECT_THAT(refusal(*make_generate({.model = kFixtures + "inversion"}),
                      {{"embedding", std::vector<int>(32, 1)}, {"steps", 2}}),
              HasSubstr("--corrector"));
  EXPECT_THAT(refusal(*make_generate({.model = kFixtures + "t5_relu",
                                      .corrector = kFixtures + "corrector",
                                      .embedder = kFixtures + "gtr"}),
                      {{"prompt_ids", {5}}}),
              HasSubstr("inversion model"));
  EXPECT_THAT(refusal(*make_generate({.model = kFixtures + "bert"}),
                      {{"prompt_ids", {5}}, {"max_new_tokens", 1}}),
              HasSubstr("bert"));
}

}  // namespace
}  // namespace preimage::tools
