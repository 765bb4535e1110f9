#include "arms/policy_search.hpp"

#include <gtest/gtest.h>

#include "arms/operators.hpp"
#include "arms/token_swaps.hpp"

namespace preimage::ips {
namespace {

class Policy : public testing::Test {
 protected:
  Policy() { target_.id = "t", target_.most_tokens = 12, readable_ = readable_tokens(tokenizer_); }
  PolicySearch arm(bool clipped = true) {
    return {{target_, tokenizer_, prompts_, readable_, 0, "ppo/0/t"}, options_, clipped};
  }
  // What a prompt is worth: known once it is decoded; the loss alone says something else.
  static double worth(const Ask& ask) {
    const auto size = static_cast<double>(ask.text.size());
    return ask.kind == Ask::Kind::evaluate ? size / 100 : -size / 50;
  }
  std::vector<Reply> answer(const std::vector<Ask>& asks) {
    terms_.assign(asks.size(), Terms());
    std::vector<Reply> replies;
    for (size_t i = 0; i < asks.size(); ++i) {
      terms_[i].decoded = asks[i].kind == Ask::Kind::evaluate;
      replies.push_back({.index = index_++, .terms = &terms_[i]});
      replies.back().fitness.value = worth(asks[i]);
    }
    return replies;
  }

  text::Tokenizer tokenizer_ =
      text::load_tokenizer(std::string(PREIMAGE_SOURCE_DIR) + "/jobs/models/pocket-coder");
  Target target_;
  PromptSource prompts_{{{"{words}"}, {"even", "odd"}, {}}, {}};
  std::vector<bool> readable_;
  PolicyOptions options_{.episodes = 1, .horizon = 7, .decode = 3, .vocabulary = 40, .width = 8};
  std::vector<Terms> terms_;
  int64_t index_ = 0;
};

// The answer is written every third edit and at the end, also where the policy stops; the rewards
// of an episode add up to what its last prompt is worth more than its first.
TEST_F(Policy, DecodesEveryFewEditsAndAtTheEnd) {
  auto arm = this->arm();
  int stopped = 0, whole = 0;
  auto asks = arm.ask();
  for (size_t episode = 0; episode < 30; ++episode) {
    ASSERT_EQ(asks[0].operation, "start");
    Ask last = asks[0];
    const double first = worth(last);
    int edits = 0;
    arm.tell(asks, answer(asks));
    for (asks = arm.ask(); asks[0].operation != "start"; asks = arm.ask()) {
      ASSERT_EQ(asks.size(), 1u);
      last = asks[0];
      if (last.operation != "decode") {
        ++edits;
        EXPECT_EQ(last.kind == Ask::Kind::evaluate, edits % 3 == 0 || edits == 7) << edits;
      }
      arm.tell(asks, answer(asks));
    }
    EXPECT_EQ(last.kind, Ask::Kind::evaluate);
    stopped += last.operation == "decode", whole += edits == 7;
    ASSERT_EQ(arm.updates().size(), episode + 1);
    EXPECT_NEAR(arm.updates()[episode].episode_return, worth(last) - first, 1e-12);
  }
  EXPECT_GT(stopped, 0);
  EXPECT_GT(whole, 0);
}

// A loss that says "each token is the likeliest" is looked at.
TEST_F(Policy, DecodesWhatTheLossCallsReproduced) {
  auto arm = this->arm();
  auto asks = arm.ask();
  arm.tell(asks, answer(asks));
  asks = arm.ask();
  while (asks[0].kind != Ask::Kind::loss) {
    arm.tell(asks, answer(asks));
    asks = arm.ask();
  }
  auto replies = answer(asks);
  terms_[0].greedy = true;
  arm.tell(asks, replies);
  const auto next = arm.ask();
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].kind, Ask::Kind::evaluate);
  EXPECT_EQ(next[0].operation, "decode");
  EXPECT_EQ(next[0].text, asks[0].text);
  // Accepted: the episode is over, with its bonus.
  replies = answer(next);
  replies[0].accepted = true;
  arm.tell(next, replies);
  EXPECT_EQ(arm.ask()[0].operation, "start");
  EXPECT_GT(arm.updates().at(0).episode_return, 0.5);
}

}  // namespace
}  // namespace preimage::ips
