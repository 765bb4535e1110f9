// Fenced blocks against markdown-it-py, a CommonMark parser
// (scripts/fixtures/make_program_fixtures.py).
#include "preimage/text/code_block.hpp"

#include <gtest/gtest.h>

#include "preimage/base/json.hpp"

namespace preimage::text {
namespace {

std::string without_returns(std::string text) {
  std::erase(text, '\r');
  return text;
}

TEST(CodeBlock, FindsWhatACommonMarkParserFinds) {
  for (const auto& row : base::read_json(PREIMAGE_TEST_DATA "/text/fixtures/code_blocks.json")) {
    const auto answer = row["answer"].get<std::string>();
    SCOPED_TRACE(answer);
    const auto blocks = code_blocks(answer);
    ASSERT_EQ(blocks.size(), row["blocks"].size());
    for (size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(blocks[i].label, row["blocks"][i]["label"].get<std::string>());
      EXPECT_EQ(without_returns(blocks[i].code), row["blocks"][i]["code"].get<std::string>());
    }
    if (blocks.empty()) {
      EXPECT_EQ(extract_code(answer), answer);
    } else {
      EXPECT_EQ(extract_code(answer), blocks[0].code);
    }
  }
}

TEST(CodeBlock, SaysWhetherTheBlockWasClosed) {
  EXPECT_FALSE(code_blocks("```python\nx = 1\n")[0].closed);
  EXPECT_TRUE(code_blocks("```python\nx = 1\n```")[0].closed);
}

TEST(CodeBlock, EndsAtTheFirstClosingFenceWhenThePromptOpenedOne) {
  EXPECT_EQ(extract_code("x = 1\n```\nThat sets x.\n```python\ny\n```\n", true), "x = 1\n");
  EXPECT_EQ(extract_code("x = 1\n", true), "x = 1\n");
  EXPECT_EQ(extract_code("", true), "");
  EXPECT_EQ(extract_code("s = '''\n```python\n'''\n```\n", true), "s = '''\n```python\n'''\n");
}

}  // namespace
}  // namespace preimage::text
