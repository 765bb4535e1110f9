// pocket-coder writes, a rule judges: late, and out of order.
#include "preimage/eval/program_writer.hpp"

#include <gtest/gtest.h>

#include <map>

#include "preimage/eval/program_analysis.hpp"
#include "preimage/lm/generate/generate.hpp"
#include "sandbox/late_judge.hpp"

namespace preimage::eval {
namespace {

// By the program's text alone, so that a verdict which reaches another program shows.
sandbox::Verdict rule(const std::string& program) {
  size_t sum = 0;
  for (const char c : program) sum = sum * 31 + static_cast<unsigned char>(c);
  return sum % 3 == 0 ? sandbox::Verdict::pass : sandbox::Verdict::wrong;
}

sandbox::Record answer(const sandbox::Request& request) {
  sandbox::Record record;
  if (request.observe) {
    // Outputs of a program name it; normal forms have none here and fall back to the text.
    const bool outputs = request.observe->attribute == "preimage_seen";
    record.facts = {{"claimed", {{"loaded", true}, {"attribute", nullptr}}}};
    if (outputs) record.facts["claimed"]["attribute"] = std::to_string(request.program.find('\n'));
    return record;
  }
  record.verdict = rule(request.program);
  record.detail = request.program;
  return record;
}

TEST(ProgramWriter, EachProgramGetsItsOwnVerdictAndTheBitsOfGenerate) {
  const std::string folder = std::string(PREIMAGE_SOURCE_DIR) + "/jobs/models/pocket-coder";
  const auto model = load_text_model(folder, lm::load_model(folder, {}), false);
  const auto problems = data::read_programs(
      {"mbpp", std::string(PREIMAGE_SOURCE_DIR) + "/jobs/data/functions/problems.jsonl.gz"});
  tests::LateJudge judge(answer);
  ProgramWriterOptions options;
  options.prompt.pattern = "{text}\n\n{tests}\n\n";
  options.max_new_tokens = 24;
  options.batch = 6;
  options.longest = 500;
  ProgramWriter writer(model, judge, options);

  std::vector<ProgramRequest> requests;
  for (size_t p = 0; p < 5; ++p)
    requests.push_back({&problems[p],
                        prompt_ids(model, program_prompt(options.prompt, problems[p])),
                        3 + static_cast<int64_t>(p % 2), p, p % 2 == 0});
  std::map<int64_t, size_t> which;
  std::map<size_t, ProgramBlock> blocks;
  for (size_t sent = 0; sent < requests.size() || writer.pending() > 0;) {
    if (sent < requests.size()) which[writer.submit(requests[sent])] = sent, ++sent;
    while (auto block = writer.next(0.001)) blocks[which.at(block->ticket)] = std::move(*block);
  }
  EXPECT_EQ(writer.unwritten() + writer.unjudged(), 0);
  EXPECT_GT(judge.out_of_order(), 5);
  ASSERT_EQ(blocks.size(), requests.size());
  for (size_t p = 0; p < requests.size(); ++p) {
    lm::GenerateRequest alone{.ids = requests[p].prompt, .max_new_tokens = 24, .n = requests[p].n};
    alone.stop_ids = stop_ids(model);
    alone.sampling.seed = p;
    const auto expected =
        lm::generate(*model.model, {alone}, {.batch = 1, .tokenizer = &model.tokenizer});
    const auto& candidates = blocks[p].candidates;
    ASSERT_EQ(candidates.size(), expected.size());
    for (size_t i = 0; i < candidates.size(); ++i) {
      const auto& c = candidates[i];
      EXPECT_EQ(c.program, program_of(options.prompt, problems[p], expected[i].text));
      EXPECT_EQ(c.tokens, std::ssize(expected[i].ids));
      EXPECT_EQ(c.stop, expected[i].finish_reason);
      EXPECT_EQ(c.verdict, rule(c.program));
      EXPECT_EQ(c.passes, rule(c.program) == sandbox::Verdict::pass);
      EXPECT_EQ(c.detail, c.program);
      EXPECT_EQ(c.outputs.empty(), !requests[p].outputs);
      EXPECT_FALSE(c.normal_form.empty());
    }
  }
}

}  // namespace
}  // namespace preimage::eval
