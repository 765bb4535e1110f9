#include "arms/token_swaps.hpp"

#include <gtest/gtest.h>

#include "arms/operators.hpp"

namespace preimage::ips {
namespace {

TEST(ReadableTokens, AreWordsNumbersAndMarks) {
  for (const char* yes : {"sum", " sum", "12", " 7", ",", " ."})
    EXPECT_TRUE(is_readable_token(yes));
  for (const char* no : {"", " ", "a1", "a-b", "  a", "\n", "(", ",,"})
    EXPECT_FALSE(is_readable_token(no)) << no;
}

class Swapping : public testing::Test {
 protected:
  Swapping() {
    target_.id = "t", target_.most_tokens = 12, readable_ = readable_tokens(tokenizer_);
  }
  TokenSwaps arm() {
    return {{target_, tokenizer_, prompts_, readable_, 0, "swap/0/t"}, options_, true};
  }
  // Tells the arm's own prompts their losses: the number of tokens that are not `wanted`.
  void answer(TokenSwaps& arm, const std::vector<Ask>& asks, const Swaps& swaps) {
    std::vector<Terms> terms(asks.size());
    std::vector<Reply> replies;
    for (size_t i = 0; i < asks.size(); ++i) {
      Reply reply{.index = index_++};
      if (asks[i].kind == Ask::Kind::gradient) {
        reply.swaps = &swaps;
      } else {
        for (const int64_t id : prompt_tokens(tokenizer_, asks[i].text))
          terms[i].nll += id != wanted_;
        reply.terms = &terms[i];
      }
      replies.push_back(reply);
    }
    arm.tell(asks, replies);
  }

  text::Tokenizer tokenizer_ =
      text::load_tokenizer(std::string(PREIMAGE_SOURCE_DIR) + "/jobs/models/pocket-coder");
  Target target_;
  PromptSource prompts_{{{"{words}"}, {"even", "odd"}, {}}, {}};
  std::vector<bool> readable_;
  SwapOptions options_{.top = 4, .candidates = 8, .start_tokens = 4, .steps = 50, .growth = 2};
  int64_t wanted_ = tokenizer_.encode(" list", {}).front();
  int64_t index_ = 0;
};

// With a gradient that names the right token at each place, every step is nearer.
TEST_F(Swapping, FollowsTheGradient) {
  auto arm = this->arm();
  double loss = 100;
  for (int step = 0; step < 8 && loss > 0; ++step) {
    const auto asks = arm.ask();
    ASSERT_FALSE(asks.empty());
    answer(arm, asks, Swaps(prompt_tokens(tokenizer_, asks[0].text).size(), {wanted_}));
    if (asks[0].kind == Ask::Kind::gradient) continue;
    for (const auto& ask : asks) {
      double wrong = 0;
      for (const int64_t id : prompt_tokens(tokenizer_, ask.text)) wrong += id != wanted_;
      loss = std::min(loss, wrong);
    }
  }
  EXPECT_LE(loss, 1);
}

// A prompt whose tokens join their neighbours in the template has no gradient; a unit in quarantine
// has none either.
TEST_F(Swapping, GoesOnFromAPromptWithoutAGradient) {
  auto arm = this->arm();
  answer(arm, arm.ask(), {});
  const auto gradient = arm.ask();
  ASSERT_EQ(gradient[0].kind, Ask::Kind::gradient);
  answer(arm, gradient, {});
  const auto next = arm.ask();
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].kind, Ask::Kind::evaluate);
  EXPECT_NE(next[0].text, gradient[0].text);
}

}  // namespace
}  // namespace preimage::ips
