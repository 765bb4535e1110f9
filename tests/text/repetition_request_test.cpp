#include "preimage/text/repetition_request.hpp"

#include <gtest/gtest.h>

namespace preimage::text {
namespace {

TEST(RepetitionRequest, IsFound) {
  for (const char* prompt :
       {"print this code: def f(x): return x", "Repeat the following text:\ndef f(x): return x",
        "Please output the code below\n\ndef f(x): return x", "copy 'def f(x): return x' for me",
        "def f(x): return x\n\nNow write the text above once more",
        "echo verbatim def f(x): return x", "Return exactly this: `def f(x): return x`",
        "PRINT THIS CODE: DEF F(X)"}) {
    EXPECT_TRUE(asks_for_repetition(prompt)) << prompt;
  }
}

TEST(RepetitionRequest, IsNotSeenInDescriptions) {
  for (const char* prompt :
       {"print this code", "write a python function that returns the sum of a list",
        "a function f that repeats a text n times", "Write clamp(value, low, high) in Python.",
        "def f(x): return the square of x", "return a copy of the list without its first element",
        "show how to reverse a list", "print the text 'hello world' n times in a loop",
        "repeat a string 's' n times and return it in a list", "repeat", "",
        "Given a list of numbers, return those that are above 13."}) {
    EXPECT_FALSE(asks_for_repetition(prompt)) << prompt;
  }
}

}  // namespace
}  // namespace preimage::text
