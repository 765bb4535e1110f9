// A file of labelled programs obeys the same choices as a published set.
#include "corpus.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "folder.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/candidates.hpp"

namespace preimage::verifier {
namespace {

// Ten problems to train on, two of validation, four to test on, two programs each. Test problem 13
// asks nearly the words of training problem 3.
class LabelledPrograms : public testing::Test {
 protected:
  LabelledPrograms() {
    config_.candidates = folder_ / "programs.jsonl";
    data::CandidateWriter writer(config_.candidates);
    for (int64_t p = 0; p < 16; ++p) {
      for (int64_t i = 0; i < 2; ++i) {
        data::Candidate line;
        const int64_t words = p == 13 ? 3 : p;
        for (int64_t w = 0; w < 12; ++w) line.prompt += base::str("w", words * 100 + w, " ");
        line.code = base::str("x = ", i);
        line.pass = i == 0;
        line.problem = base::str("p", p);
        line.split = p < 10 ? "train" : p < 12 ? "validation" : "test";
        line.index = i;
        writer.write(line);
      }
    }
    writer.sync();
  }

  std::string ids(Split split) const {
    const auto corpus = read_corpus(config_, 1);
    std::string out;
    for (const int64_t p : corpus.of_split(split))
      out += corpus.problems[static_cast<size_t>(p)].id + " ";
    return out;
  }

  tests::Folder folder_;
  DataConfig config_;
};

TEST_F(LabelledPrograms, ALeakCostsTheTrainingProblem) {
  EXPECT_EQ(ids(Split::train), "p0 p1 p2 p4 p5 p6 p7 p8 p9 ");
  EXPECT_EQ(ids(Split::test), "p12 p13 p14 p15 ");
  config_.leak_limit = 1;  // equal texts are a leak at any limit
  EXPECT_EQ(ids(Split::train), "p0 p1 p2 p4 p5 p6 p7 p8 p9 ");
}

TEST_F(LabelledPrograms, LimitsAndExcludedIdsCount) {
  config_.exclude = {"p0", "p12"};
  config_.train_limit = 3;
  config_.validation_limit = 1;
  config_.test_limit = 2;
  EXPECT_EQ(ids(Split::train), "p1 p2 p4 ");
  EXPECT_EQ(ids(Split::validation), "p10 ");
  EXPECT_EQ(ids(Split::test), "p13 p14 ");
  config_.exclude = {"p99"};
  EXPECT_THROW(read_corpus(config_, 1), base::Error);
}

TEST_F(LabelledPrograms, AnUnknownSplitIsRefused) {
  data::CandidateWriter writer(config_.candidates);
  data::Candidate line;
  line.prompt = "a b c", line.code = "x", line.problem = "q", line.split = "dev";
  writer.write(line);
  writer.sync();
  try {
    read_corpus(config_, 1);
    FAIL() << "a split of another name was accepted";
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("problem q: found split \"dev\""));
  }
}

}  // namespace
}  // namespace preimage::verifier
