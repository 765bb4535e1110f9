#include "preimage/text/normal_code.hpp"

#include <gtest/gtest.h>

namespace preimage::text {
namespace {

TEST(NormalCode, TakesTheFinalChannel) {
  EXPECT_EQ(
      final_channel("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final"
                    "<|message|>x = 1<|return|>"),
      "x = 1");
  EXPECT_EQ(final_channel("<|channel|>final <|constrain|>json<|message|>{}"), "{}");
  EXPECT_EQ(final_channel("<|channel|>final<|message|>a<|end|><|start|>user<|message|>b<|end|>"
                          "<|start|>assistant<|channel|>final<|message|>c"),
            "c");
  EXPECT_EQ(final_channel("<|channel|>analysis<|message|>x = 1"), "");  // cut off while thinking
  EXPECT_EQ(final_channel("<|channel|>final"), "");
  EXPECT_EQ(final_channel("x = 1"), "x = 1");
}

TEST(NormalCode, TakesTheFirstBlockAndItsLines) {
  EXPECT_EQ(
      normal_code("Here:\n```python\r\n\r\ndef f():  \r\n\treturn 1\t\r\n\r\n```\nor\n```\nx\n```"),
      "def f():\n\treturn 1");
  EXPECT_EQ(normal_code("\n \n  a = 1 \n\n  b\n \n"), "  a = 1\n\n  b");
  EXPECT_EQ(normal_code("a\rb\r\nc"), "a\nb\nc");
  EXPECT_EQ(normal_code(" \n\t\n"), "");
  EXPECT_EQ(normal_lines("a  \r\n```\nb\n```\n\n"), "a\n```\nb\n```");
  EXPECT_EQ(normal_code("<|channel|>final<|message|>```py\nx\n```<|return|>"), "x");
}

}  // namespace
}  // namespace preimage::text
