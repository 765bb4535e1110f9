// Pools in the published formats. The records are made by Python's json and gzip
// (scripts/fixtures/make_grpo_fixtures.py), bare NaN included.
#include "pools/pool.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "pools/pairs.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::grpo {
namespace {

namespace fs = std::filesystem;
const fs::path kFixtures = PREIMAGE_TEST_DATA "/experiments/grpo/fixtures";

const text::Tokenizer& tokenizer() {
  static const auto loaded =
      text::load_tokenizer(fs::path(PREIMAGE_SOURCE_DIR) / "jobs/models/pocket-coder");
  return loaded;
}

TEST(ReadPool, StepsOfThePlan) {
  const auto pool = read_pool(kFixtures / "teacher_pool", tokenizer());
  ASSERT_EQ(pool.size(), 4u);  // step_000 and step_012, two samples each
  EXPECT_EQ(pool[0].pool, "teacher_pool");
  EXPECT_EQ(pool[2].step, 12);
  EXPECT_EQ(pool[3].index, 1);
  EXPECT_EQ(pool[0].problem_id, "3243");
  EXPECT_EQ(pool[0].completion, "def f():\n    return 1\n");
  EXPECT_EQ(pool[0].stored_reward, 3.5);
  EXPECT_EQ(pool[0].stored_hacked, true);
  EXPECT_EQ(pool[1].stored_reward, std::nullopt);  // a bare NaN
  // Padding behind the end of text is cut, one end stays.
  const int64_t end = *tokenizer().special().eos;
  EXPECT_EQ(pool[0].completion_ids, (std::vector<int64_t>{11, 12, 13, end}));
  EXPECT_EQ(pool[0].prompt_ids, (std::vector<int64_t>{5, 6, 7}));
  // Ids that are not stored are the text's.
  EXPECT_EQ(pool[1].completion_ids, tokenizer().encode(pool[1].completion));
}

TEST(ReadPool, OneFileForEachProblem) {
  const auto pool = read_pool(kFixtures / "substrate", tokenizer());
  ASSERT_EQ(pool.size(), 3u);  // prompt_0007 (2), prompt_0123 (1)
  EXPECT_EQ(pool[0].problem_id, "7");
  EXPECT_EQ(pool[2].problem_id, "123");
  EXPECT_EQ(pool[1].step, 0);
  EXPECT_EQ(pool[2].step, 1);
}

class Folder : public testing::Test {
 protected:
  Folder() : path_(fs::temp_directory_path() / base::str("preimage_pool_", getpid())) {
    fs::create_directories(path_ / "base_pool");
  }
  ~Folder() override { fs::remove_all(path_); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }
  fs::path path_;
};

TEST_F(Folder, WhatIsWrittenIsReadBack) {
  PoolSample sample{"base_pool", 3, 0, "17", false, "p", "def f(): pass\n", {1, 2}, {3, 4, 5}};
  sample.grade.labels.own_pass = true;
  sample.grade.reward = 3.5;
  auto second = sample;
  second.index = 1, second.completion = "naïve\n", second.grade = {};
  write(base::str("base_pool/", pool_file_name(3)), pool_file({sample, second}));
  EXPECT_EQ(pool_file_name(3), "step_003.jsonl.gz");
  const auto read = read_pool(path_ / "base_pool/", tokenizer());
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].pool, "base_pool");
  EXPECT_EQ(read[0].step, 3);
  EXPECT_EQ(read[1].index, 1);
  EXPECT_EQ(read[0].completion_ids, sample.completion_ids);
  EXPECT_EQ(read[1].completion, second.completion);
  EXPECT_EQ(read[0].stored_hacked, true);
  EXPECT_EQ(read[1].stored_hacked, false);
  EXPECT_EQ(read[0].grade.reward, 0);  // never believed
}

TEST_F(Folder, RefusalsNameFileAndLine) {
  const auto refused = [&](const std::string& text) {
    write("base_pool/step_000.jsonl", text);
    try {
      read_pool(path_ / "base_pool", tokenizer());
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ExitCode::bad_data);
      return std::string(error.what());
    }
    return std::string("not refused");
  };
  const std::string good = R"({"prompt": "a", "completion": "b"})";
  EXPECT_THAT(refused(good + "\n{\"prompt\": 3}\n"), testing::HasSubstr("step_000.jsonl:2"));
  EXPECT_THAT(refused(R"({"prompt": "a", "completion": ""})"), testing::HasSubstr("empty"));
  EXPECT_THAT(refused(R"({"prompt": "a", "completion_ids": [1.5]})"),
              testing::HasSubstr("completion_ids"));
  fs::remove(path_ / "base_pool/step_000.jsonl");
  EXPECT_THROW(read_pool(path_ / "base_pool", tokenizer()), base::Error);
  EXPECT_THROW(read_pool(path_ / "nowhere", tokenizer()), base::Error);
}

const char* const kPairs =
    "# Pairs\n\n## all-in-one\n\n### a_1\nTags: x, y\n#### Prompt\n`````text\nLine one\n\nLine "
    "three\n`````\n#### Hack\n`````text\n```python\nhack\n```\n`````\n#### "
    "Clean\n`````text\nclean\n`````\n\n### b_1\n#### Prompt\n`````text\np\n`````\n#### "
    "Hack\n`````text\nh\n`````\n#### Clean\n`````text\nc\n`````\n## other\n### a_1\n#### "
    "Prompt\n`````text\n\n`````\n#### Hack\n`````text\nh\n`````\n#### Clean\n`````text\nc\n`````\n";

TEST_F(Folder, PairsOfMarkdownAreSelected) {
  write("pairs.md", kPairs);
  const auto file = (path_ / "pairs.md").string();
  EXPECT_EQ(read_pairs(file).size(), 3u);
  const auto section = read_pairs(file + "#all-in-one");
  ASSERT_EQ(section.size(), 2u);
  EXPECT_EQ(section[0].id, "a_1");
  EXPECT_EQ(section[0].prompt, "Line one\n\nLine three");
  EXPECT_EQ(section[0].hack, "```python\nhack\n```");
  EXPECT_EQ(read_pairs(file + "#all-in-one/b")[0].clean, "c");
  EXPECT_EQ(read_pairs(file + "#all-in-one@x,y").size(), 1u);
  EXPECT_EQ(read_pairs(file + "#other")[0].prompt, "");
  EXPECT_THROW(read_pairs(file + "#all-in-one@x,z"), base::Error);
  EXPECT_THROW(read_pairs(file + "#nowhere"), base::Error);
  EXPECT_EQ(pairs_path(file + "#all-in-one/b@x"), file);
}

TEST_F(Folder, MalformedPairsAreRefusedWithTheirLine) {
  const auto refused = [&](const std::string& text) {
    write("pairs.md", text);
    try {
      read_pairs((path_ / "pairs.md").string());
    } catch (const base::Error& error) {
      return std::string(error.what());
    }
    return std::string("not refused");
  };
  EXPECT_THAT(refused("## s\n### a\n#### Prompt\ntext\n"), testing::HasSubstr("pairs.md:4"));
  EXPECT_THAT(refused("## s\n### a\n#### Prompt\n`````text\np\n`````\n## t\n"),
              testing::HasSubstr("lacks one of"));
  EXPECT_THAT(refused("## s\n### a\n#### Prompt\n`````text\np\n"), testing::HasSubstr("no end"));
  EXPECT_THAT(refused(std::string(kPairs) + "### a_1\n"), testing::HasSubstr("twice"));
}

TEST_F(Folder, PairsOfJson) {
  write("pairs.json", R"([{"problem_id": "7", "prompt": "p", "hack": "h", "clean": "c"}])");
  const auto pairs = read_pairs((path_ / "pairs.json").string());
  ASSERT_EQ(pairs.size(), 1u);
  EXPECT_EQ(pairs[0].id, "7");
  EXPECT_EQ(pairs[0].hack, "h");
}

TEST(Pairs, ShippedOnesAreRead) {
  const fs::path data = fs::path(PREIMAGE_SOURCE_DIR) / "jobs/data/grpo";
  EXPECT_EQ(read_pairs((data / "pairs.md").string() + "#all-in-one").size(), 26u);
  EXPECT_EQ(read_pairs((data / "style_pairs.json").string()).size(), 12u);
}

}  // namespace
}  // namespace preimage::grpo
