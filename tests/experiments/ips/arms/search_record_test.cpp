// The books of a search: what each wish costs, and what is known costs nothing again.
#include "arms/search_record.hpp"

#include <gtest/gtest.h>

namespace preimage::ips {
namespace {

class Script : public Arm {
 public:
  explicit Script(std::vector<std::vector<Ask>> waves) : waves_(std::move(waves)) {}
  std::vector<Ask> ask() override { return at_ < waves_.size() ? waves_[at_] : std::vector<Ask>(); }
  void tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) override {
    asked_ = asked, replies_ = replies;
    ++at_;
  }
  std::vector<Ask> asked_;
  std::vector<Reply> replies_;

 private:
  std::vector<std::vector<Ask>> waves_;
  size_t at_ = 0;
};

std::string unit_of(const Ask& ask) {
  return std::to_string(static_cast<int>(ask.kind)) + ask.text + std::to_string(ask.first);
}

class Books : public testing::Test {
 protected:
  void start(std::vector<std::vector<Ask>> waves, int64_t calls) {
    auto script = std::make_unique<Script>(std::move(waves));
    arm_ = script.get();
    record_.emplace(SearchRecord::Identity{0, "ppo", 0}, std::move(script),
                    SearchRecord::Limits{calls, 1});
  }
  // Answers have lcs 0.5; losses nll 1.
  void wave() {
    std::vector<SearchRecord::Result> results;
    for (const auto& ask : record_->ask(unit_of).asks) {
      Terms terms;
      terms.decoded = ask.kind == Ask::Kind::evaluate;
      terms.lcs = terms.decoded ? 0.5 : kUndefined;
      terms.nll = 1;
      results.push_back({.terms = std::make_shared<const Terms>(terms),
                         .texts = std::make_shared<const std::vector<std::string>>()});
    }
    record_->tell(results, [](const Terms& terms) {
      return Judged{fitness(terms, {}, {}), terms.lcs > 0.4};
    });
  }
  Script* arm_ = nullptr;
  std::optional<SearchRecord> record_;
};

using Kind = Ask::Kind;

TEST_F(Books, ALossOfWhatWasEvaluatedIsThatEvaluation) {
  start({{{.text = "a"}}, {{.kind = Kind::loss, .text = "a"}, {.kind = Kind::loss, .text = "b"}}},
        10);
  wave();
  EXPECT_EQ(record_->calls_to_success(), 1);
  wave();
  EXPECT_EQ(arm_->asked_[0].kind, Kind::evaluate);
  EXPECT_TRUE(arm_->replies_[0].accepted);
  EXPECT_EQ(arm_->asked_[1].kind, Kind::loss);
  // With the similarities of the evaluation that it names, and never accepted.
  EXPECT_FALSE(arm_->replies_[1].accepted);
  EXPECT_NEAR(arm_->replies_[1].fitness.match, arm_->replies_[0].fitness.match, 1e-12);
  EXPECT_EQ(record_->counts().requested, 3);
  EXPECT_EQ(record_->counts().executed, 2);
  EXPECT_EQ(record_->counts().cache_hits, 1);
  EXPECT_EQ(record_->counts().nll_passes, 2);
  EXPECT_TRUE(record_->evaluations()[1].cache_hit);
  EXPECT_FALSE(record_->evaluations()[2].cache_hit);
}

TEST_F(Books, AnAnswerBehindALossIsPaid) {
  start({{{.kind = Kind::loss, .text = "a"}}}, 10);
  // The basis must have been evaluated.
  EXPECT_ANY_THROW(wave());
  start({{{.text = "x"}}, {{.kind = Kind::loss, .text = "a"}}, {{.text = "a"}}}, 10);
  wave(), wave(), wave();
  EXPECT_EQ(record_->counts().executed, 3);
}

TEST_F(Books, TrainingCostsItsGradientsAndSamples) {
  start({{{.kind = Kind::prefer, .count = 4, .pairs = {{"a", "b"}}, .gradients = 6}},
         {{.kind = Kind::prefer, .first = 4, .count = 4, .gradients = 6}}},
        19);
  wave();
  EXPECT_EQ(record_->counts().executed, 10);
  EXPECT_EQ(record_->counts().gradients, 6);
  EXPECT_EQ(record_->counts().proposals, 4);
  EXPECT_TRUE(record_->ask(unit_of).asks.empty());  // nine are left
  EXPECT_EQ(record_->stop_rule(), "budget");
}

}  // namespace
}  // namespace preimage::ips
