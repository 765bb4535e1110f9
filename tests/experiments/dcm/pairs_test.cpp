#include "pairs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "folder.hpp"
#include "preimage/base/error.hpp"

namespace preimage::dcm {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path source = PREIMAGE_SOURCE_DIR;

class ParaphraseFiles : public testing::Test {
 protected:
  ParaphraseFiles() {
    config_.model.dir = source / "jobs/models/pocket-lm";
    config_.data = {.kind = "pairs", .path = folder_.path() / "pairs.jsonl", .count = 2};
    config_.k = 2;
    config_.stages = {"joint", "paraphrase"};
    config_.paraphrases = folder_.path() / "paraphrases.jsonl";
    std::ofstream(config_.data.path) << R"({"id": "p1", "question": "Who?", "answer": "A man."})"
                                     << "\n"
                                     << R"({"id": "p2", "question": "When?", "answer": "Now."})"
                                     << "\n";
  }
  std::vector<Pair> load(const std::string& paraphrases) const {
    std::ofstream(config_.paraphrases) << paraphrases;
    const auto model = lm::read_model_config(config_.model.dir);
    const auto tokenizer = text::load_tokenizer(config_.model.dir);
    return load_pairs(config_, tokenizer, make_vocabulary(config_, tokenizer, model), model);
  }
  void expect_refused(const std::string& paraphrases, const std::string& text) const {
    try {
      load(paraphrases);
      ADD_FAILURE() << "accepted: " << paraphrases;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ExitCode::bad_data);
      EXPECT_THAT(error.what(), HasSubstr(text));
    }
  }

  tests::Folder folder_;
  DcmConfig config_;
};

TEST_F(ParaphraseFiles, GoToThePairsOfTheirIds) {
  const auto pairs = load(R"({"id": "p2", "questions": ["At what time?"], "answers": []})"
                          "\n"
                          R"({"id": "other", "questions": ["Why?"]})");
  size_t with = 0;
  for (const auto& pair : pairs) {
    EXPECT_EQ(pair.paraphrases.questions.size(), pair.id == "p2" ? 1u : 0u);
    with += pair.paraphrases.empty() ? 0 : 1;
  }
  EXPECT_EQ(with, 1u);
  EXPECT_THAT(paraphrase_note(pairs, config_), HasSubstr("no paraphrases for 1 of 2 pairs"));
}

TEST_F(ParaphraseFiles, OfOtherPairsAreRefused) {
  expect_refused(R"({"id": "q1", "questions": ["At what time?"]})", "\"q1\"");
  // The id as a number's text, or with white space, is another id.
  expect_refused(R"({"id": "p1 ", "answers": ["x"]})", "none of them of the 2 pairs");
  expect_refused("", "found no line");
}

TEST_F(ParaphraseFiles, LinesWithoutAnyOrWithAnIdTwiceAreRefused) {
  expect_refused(R"({"id": "p1", "question": ["At what time?"]})", ":1: found no paraphrase");
  expect_refused(R"({"id": "p1", "questions": [], "answers": []})", ":1: found no paraphrase");
  expect_refused(R"({"id": "p1", "questions": ["a"]})"
                 "\n"
                 R"({"id": "p1", "questions": ["b"]})",
                 ":2: found the id p1 again");
}

}  // namespace
}  // namespace preimage::dcm
