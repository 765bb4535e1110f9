#include "preimage/eval/program_prompt.hpp"

#include <gtest/gtest.h>

namespace preimage::eval {
namespace {

// Imports and helpers of a HumanEval prompt belong to the program, whatever the answer repeats.
TEST(ProgramPrompt, ProgramOfAnAnswerToHumanEval) {
  data::ProgramProblem problem;
  problem.form = data::TestForm::check_function;
  problem.entry_point = "f";
  const std::string head = "from typing import List\ndef helper(x): return x\n";
  problem.starter = head + "def f(x):\n    \"\"\"Doubles.\"\"\"\n";
  const std::string whole = "def f(x):\n    return 2 * x";
  const ProgramPrompt config;
  EXPECT_EQ(program_of(config, problem, "Here:\n```python\n" + whole + "\n```\nDone."),
            head + whole + "\n");
  EXPECT_EQ(program_of(config, problem, "    return 2 * x\n"),
            problem.starter + "    return 2 * x\n");
  problem.form = data::TestForm::assertions;
  EXPECT_EQ(program_of(config, problem, "```\n" + whole + "\n```"), whole + "\n");
}

}  // namespace
}  // namespace preimage::eval
