#include "arms/operators.hpp"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "arms/prompt_source.hpp"

namespace preimage::ips {
namespace {

const text::Tokenizer& tokenizer() {
  static const auto pocket =
      text::load_tokenizer(std::string(PREIMAGE_SOURCE_DIR) + "/jobs/models/pocket-coder");
  return pocket;
}

PromptSource source() {
  return {{{"Compute {words}"}, {"even", "sum"}, {{"largest", "maximum"}}}, {}};
}

constexpr const char* kPrompt = "smallest last digit of even numbers, in the first 3: or None";

std::multiset<std::string> words_of(const std::string& text) {
  const auto words = split_words(text);
  return {words.begin(), words.end()};
}

TEST(Operators, TextsAreComparedWithoutCaseAndLayout) {
  EXPECT_EQ(folded("  Sum of\n\tEVEN "), "sum of even");
  EXPECT_EQ(tidy("  Sum of\n\tEVEN "), "Sum of EVEN");
}

TEST(Operators, CutEndsAtATokenAndKeepsTheLimit) {
  for (int64_t most = 1; most < 20; ++most) {
    const auto text = cut(tokenizer(), kPrompt, most);
    EXPECT_LE(std::ssize(prompt_tokens(tokenizer(), text)), most);
    EXPECT_EQ(std::string(kPrompt).rfind(text, 0), 0u) << text;
  }
  EXPECT_EQ(cut(tokenizer(), kPrompt, 100), kPrompt);
}

TEST(Operators, SpecialTokensInAPromptAreText) {
  const auto ids = prompt_tokens(tokenizer(), "<|endoftext|>");
  EXPECT_GT(ids.size(), 1u);
}

TEST(Operators, EachChangesWhatItSays) {
  for (int seed = 0; seed < 50; ++seed) {
    Draws draws(static_cast<uint64_t>(seed), "test", "operators");
    const auto deleted = split_words(delete_span(kPrompt, draws));
    EXPECT_GE(deleted.size(), split_words(kPrompt).size() - 3);
    EXPECT_LT(deleted.size(), split_words(kPrompt).size());
    const auto shuffled = shuffle_clause("one two three, four", draws);
    EXPECT_EQ(shuffled.substr(shuffled.size() - 6), ", four");
    EXPECT_EQ(words_of(insert_word(kPrompt, source(), draws)).size(),
              split_words(kPrompt).size() + 1);
  }
  Draws draws(1, "test", "operators");
  EXPECT_EQ(swap_synonyms("the LARGEST one", source(), 0, draws), "the LARGEST one");
  std::set<std::string> seen;
  for (int i = 0; i < 40; ++i) seen.insert(swap_synonyms("the LARGEST", source(), 1, draws));
  EXPECT_EQ(seen, (std::set<std::string>{"the largest", "the maximum"}));
  EXPECT_EQ(drop_tokens(tokenizer(), kPrompt, 0, draws), kPrompt);
  EXPECT_EQ(drop_tokens(tokenizer(), kPrompt, 1, draws), "");
  EXPECT_EQ(delete_span("word", draws), "");
}

TEST(Operators, CrossingTakesTheBeginningOfOneAndTheEndOfTheOther) {
  for (int seed = 0; seed < 50; ++seed) {
    Draws draws(static_cast<uint64_t>(seed), "test", "splice");
    const auto child = splice(tokenizer(), "a b c d", "w x y z", draws);
    const auto words = split_words(child);
    const auto middle = std::find_if(words.begin(), words.end(), [](auto& w) { return w > "d"; });
    EXPECT_TRUE(std::equal(words.begin(), middle, split_words("a b c d").begin())) << child;
    const auto tail = split_words("w x y z");
    EXPECT_TRUE(std::equal(words.rbegin(), std::make_reverse_iterator(middle), tail.rbegin()))
        << child;
  }
  Draws draws(2, "test", "segment");
  for (int i = 0; i < 50; ++i) {
    const auto child = exchange_segment(tokenizer(), "a b c d", "w x y z", 2, draws);
    EXPECT_GE(split_words(child).size(), 2u);
    EXPECT_LE(split_words(child).size(), 6u);
  }
}

}  // namespace
}  // namespace preimage::ips
