// What is written while a tool runs, and what is gone on with.
#include "line_output.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "folder.hpp"
#include "line_progress.hpp"
#include "ordered_lines.hpp"
#include "preimage/base/error.hpp"

namespace preimage::lines {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(OrderedLines, EachIsWrittenAsSoonAsThoseBeforeItAreDone) {
  std::vector<std::string> writes;
  OrderedLines lines(5, [&](const std::string& text) { writes.push_back(text); });
  lines.add(1, "b\n");
  EXPECT_TRUE(writes.empty());
  lines.add(0, "a\n");
  EXPECT_THAT(writes, ElementsAre("a\nb\n"));
  lines.add(4, "e\n");
  lines.add(2, "");  // a line without results holds nobody up
  lines.add(3, "d1\nd2\n");
  EXPECT_THAT(writes, ElementsAre("a\nb\n", "d1\nd2\ne\n"));
  EXPECT_TRUE(lines.complete());
  EXPECT_THROW(lines.add(3, "again"), base::Error);
}

TEST(LineProgress, SaysHowFarAndHowLong) {
  EXPECT_EQ(progress_text("score", {.done = 0, .total = 7}), "score: 0 of 7 lines");
  EXPECT_EQ(progress_text("generate", {.done = 10, .total = 40, .tokens = 1000, .seconds = 5}),
            "generate: 10 of 40 lines, 2.0/s, 15 s left, 200 tokens/s");
  EXPECT_EQ(progress_text("embed", {.done = 40, .total = 40, .seconds = 0.5}),
            "embed: 40 of 40 lines, 80/s");
}

class Resumes : public testing::Test {
 protected:
  const tests::Folder folder_;
  const std::string out_ = folder_ / "out.jsonl";
  const std::vector<std::string> ids_ = {"1", "\"b\"", "3", "4"};
  std::string text() const { return base::read_file(out_); }
  void expect_refused(const std::string& words, base::ExitCode code) const {
    try {
      resume_lines(out_, ids_, "IN");
      ADD_FAILURE() << "taken: " << words;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_THAT(error.what(), HasSubstr(words));
    }
  }
};

// The last id may lack lines, and the last line its end: they are made again.
TEST_F(Resumes, BehindWhatIsCertainlyWhole) {
  folder_.put("out.jsonl",
              "{\"id\":1,\"n\":0}\n{\"n\":1,\"id\":1}\n{\"id\":\"b\"}\n{\"id\":3,\"te");
  const auto resumed = resume_lines(out_, ids_, "IN");
  EXPECT_THAT(resumed.finished, ElementsAre(Pair("1", "{\"id\":1,\"n\":0}\n{\"n\":1,\"id\":1}\n")));
  EXPECT_TRUE(resumed.follows);
  EXPECT_EQ(text(), "{\"id\":1,\"n\":0}\n{\"n\":1,\"id\":1}\n") << "ready to be appended to";
}

TEST_F(Resumes, PartsOfOtherRanksAreBroughtIntoOrder) {
  folder_.put("out.jsonl", "{\"id\":1}\n{\"id\":\"b\"}\n");
  folder_.put("out.jsonl.rank-001", "{\"id\":4}\n{\"id\":3,\"x\":2}\n");
  const auto other = folder_.put("out.jsonl.rank-old", "of somebody's own");
  const auto resumed = resume_lines(out_, ids_, "IN");
  EXPECT_FALSE(resumed.follows) << "b is missing before 4";
  EXPECT_EQ(text(), "{\"id\":1}\n{\"id\":4}\n");
  EXPECT_FALSE(fs::exists(out_ + ".rank-001"));
  EXPECT_TRUE(fs::exists(other));
  LineOutput part({.out = out_, .into_part = true, .append = true});
  part.write("{\"id\":\"b\"}\n{\"id\":3}\n");
  part.close();
  order_lines(out_, ids_);
  EXPECT_EQ(text(), "{\"id\":1}\n{\"id\":\"b\"}\n{\"id\":3}\n{\"id\":4}\n");
  EXPECT_FALSE(fs::exists(out_ + ".rank-000"));
}

TEST_F(Resumes, AnEmptyOrMissingFileStarts) {
  EXPECT_TRUE(resume_lines(out_, ids_, "IN").finished.empty());
  EXPECT_EQ(text(), "");
}

TEST_F(Resumes, WhatIsNoOutputOfThisInputIsRefusedAndStays) {
  const std::string other = "{\"id\":9}\n{\"id\":1}\n";
  folder_.put("out.jsonl", other);
  expect_refused("holds the id 9, which IN lacks", base::ExitCode::bad_data);
  EXPECT_EQ(text(), other);
  folder_.put("out.jsonl", "{\"id\":1}\nnot JSON\n{\"id\":3}\n");
  expect_refused("out.jsonl:2", base::ExitCode::bad_data);
  folder_.put("out.jsonl", "{\"text\":1}\n{\"id\":3}\n");
  expect_refused("out.jsonl:1: no result of this tool", base::ExitCode::bad_data);
}

TEST(LineOutputs, AFreshRunLeavesNothingOfAnEarlierOne) {
  const tests::Folder folder;
  const std::string out = folder.put("out.jsonl", "old\n");
  folder.put("out.jsonl.rank-002", "old\n");
  forget_parts(out);
  LineOutput output({.out = out});
  EXPECT_EQ(base::read_file(out), "");
  output.write("a\n");
  EXPECT_EQ(base::read_file(out), "a\n") << "at once, not at the end";
  output.close();
  EXPECT_FALSE(fs::exists(out + ".rank-002"));
}

TEST(LineOutputs, ALinkIsFollowed) {
  const tests::Folder folder;
  const std::string target = folder.put("target", "old\n"), link = folder / "link";
  fs::create_symlink(target, link);
  LineOutput output({.out = link});
  output.write("a\n");
  output.close();
  gather_lines(link, {"b\n", "c\n"});
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(base::read_file(target), "b\nc\n");
}

TEST(LineOutputs, FieldsAreOfTheOutput) {
  EXPECT_NO_THROW(require_fields({"ids", "text"}, {"text", "ids"}));
  try {
    require_fields({"txt"}, {"text", "ids"});
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_config);
    EXPECT_THAT(error.what(), HasSubstr("found \"txt\" (did you mean \"text\"?)"));
  }
}

}  // namespace
}  // namespace preimage::lines
