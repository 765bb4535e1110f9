// The writing of instructions: clean-up, quotas, order, counted calls, and the files of the mode.
#include "task/ape.hpp"

#include <gmock/gmock.h>

#include "folder.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lipo {
namespace {

using testing::ElementsAre;

std::string cleaned(const std::string& text, int64_t longest = 500) {
  return clean_instruction(text, longest).value_or("(none)");
}

TEST(CleanInstruction, TakesTheFirstLineWithoutLabelAndQuotes) {
  EXPECT_EQ(cleaned("  Solve it.\nBecause ..."), "Solve it.");
  EXPECT_EQ(cleaned("Instruction: Solve it."), "Solve it.");
  EXPECT_EQ(cleaned("\"Solve it.\""), "Solve it.");
  EXPECT_EQ(cleaned("\"Instruction 3: 'Solve it.'\""), "Solve it.");
  EXPECT_EQ(cleaned("2. Solve it."), "Solve it.");
  EXPECT_EQ(cleaned("- Solve it."), "Solve it.");
  EXPECT_EQ(cleaned("2.5 is a number"), "2.5 is a number");
  EXPECT_EQ(cleaned("Instructions matter"), "Instructions matter");
  EXPECT_EQ(cleaned(" \n "), "(none)");
  EXPECT_EQ(cleaned("'quoted' inside"), "'quoted' inside");
  EXPECT_EQ(cleaned("\xC3\xA9\xC3\xA9\xC3\xA9", 3),
            "\xC3\xA9\xC3\xA9\xC3\xA9");  // three characters
  EXPECT_EQ(cleaned("four", 3), "(none)");
}

ApeConfig config(int64_t count) {
  ApeConfig c;
  c.num_instructions = count;
  c.max_batches = 2;
  return c;
}

std::vector<std::string> texts_of(const ApePool& pool) {
  std::string note;
  std::vector<std::string> out;
  for (const auto& one : pool.instructions(note)) out.push_back(one.style + ":" + one.text);
  return out;
}

const std::vector<ApeStyle> two_styles = {{"a", "", {}, 1}, {"b", "", {}, 1}};

TEST(ApePool, FillsQuotasInOrderAndCountsCalls) {
  ApePool pool(config(3), two_styles);
  EXPECT_THAT(pool.wanting(), ElementsAre(0, 1));
  pool.add(0, {"One", "one", " ONE ", "Two", "Three"});
  pool.add(1, {"two", "Four"});
  EXPECT_TRUE(pool.wanting().empty());  // quotas are two and one
  EXPECT_EQ(pool.calls(), 7);
  EXPECT_THAT(texts_of(pool), ElementsAre("a:One", "a:Two", "b:Four"));
}

TEST(ApePool, WhatAStyleLacksComesFromTheLargestAndIsNoted) {
  ApePool pool(config(4), two_styles);
  pool.add(0, {"One", "Two", "Three"});
  pool.add(1, {"Four"});
  EXPECT_THAT(pool.wanting(), ElementsAre(1));
  pool.add(1, {"four"});
  EXPECT_TRUE(pool.wanting().empty());  // has had its two batches
  EXPECT_THAT(texts_of(pool), ElementsAre("a:One", "a:Two", "a:Three", "b:Four"));
  std::string note;
  pool.instructions(note);
  EXPECT_THAT(note, testing::HasSubstr("1 instructions were missing"));
}

TEST(ApeWords, TheShippedStylesArePlansAndMakeAPrompt) {
  const auto words =
      read_ape_words(std::string(PREIMAGE_SOURCE_DIR) + "/jobs/lipo/ape_styles.json");
  std::vector<std::string> names;
  std::vector<double> temperatures;
  for (const auto& style : words.styles) {
    names.push_back(style.name);
    temperatures.push_back(style.temperature);
  }
  EXPECT_THAT(names, ElementsAre("minimalist", "direct_command", "chain_of_thought", "pedagogical",
                                 "analytical"));
  EXPECT_THAT(temperatures, ElementsAre(1.0, 0.9, 0.8, 0.9, 0.8));
  const std::vector<Item> items = {{"1 2", 2, "2"}, {"3 4", 4, "4"}};
  const auto prompt = ape_prompt(words, words.styles[0], items, 3, {1, "u", "write"});
  for (const char* part : {"Q: 1 2\nA: 2", "Q: 3 4\nA: 4", "1-5 words", "Solve:; Answer:"})
    EXPECT_THAT(prompt, testing::HasSubstr(part));
  EXPECT_THAT(prompt, testing::Not(testing::HasSubstr("{")));
}

TEST(InstructionFiles, AreReadInEveryForm) {
  const tests::Folder folder;
  const auto read = [&](const std::string& text) {
    return read_instructions(folder.put("i.json", text));
  };
  const auto full = read(R"({"calls": 7, "instructions": [{"id": 5, "style": "s", "text": "A"},
                            {"instruction": "a"}, {"text": "B"}]})");
  EXPECT_EQ(full.calls, 7);
  EXPECT_THAT(full.instructions, ElementsAre(Instruction{0, "s", "A"}, Instruction{1, "", "B"}));
  EXPECT_EQ(read(R"(["A", "B"])").instructions.size(), 2u);
  EXPECT_EQ(read(instructions_json(full.instructions, 7)).instructions, full.instructions);
  EXPECT_THROW(read("[]"), base::Error);
  EXPECT_THROW(read(R"([{"words": "A"}])"), base::Error);
  EXPECT_THROW(read(R"([" "])"), base::Error);
}

TEST(EvaluationFiles, KeepTheEvaluationOfMostItems) {
  const tests::Folder folder;
  const auto grid = read_evaluations(
      folder.put("grid.jsonl",
                 "{\"instruction_text\":\"A\",\"error_rate\":0.25,\"fidelity\":4}\n"
                 "{\"text\":\"a\",\"error\":0.5}\n{\"text\":\"B\",\"error\":0.1}\n"),
      20);
  ASSERT_EQ(grid.size(), 2u);
  EXPECT_EQ(grid[0].wrong, 10);
  EXPECT_EQ(grid[0].items, 20);
  EXPECT_EQ(grid[1].wrong, 2);
  EXPECT_THROW(read_evaluations(folder.put("bad.jsonl", "{\"text\":\"A\",\"error\":2}\n"), 20),
               base::Error);
}

}  // namespace
}  // namespace preimage::lipo
