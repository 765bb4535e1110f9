// Lines that hold a conversation give what their template's text gives as a prompt.
#include <gtest/gtest.h>

#include <fstream>

#include "run/one_process.hpp"
#include "tools/run_lines.hpp"

namespace preimage::tools {
namespace {

namespace fs = std::filesystem;
using base::Json;

const fs::path fixture = fs::path(PREIMAGE_TEST_DATA) / "lm/fixtures/qwen2_text";

class ConversationLines : public testing::Test {
 protected:
  ConversationLines() {
    for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"})
      fs::copy(fixture / name, folder_.path() / name);
    std::ofstream(folder_.path() / "chat_template.jinja")
        << "{% for m in messages %}{{ m.role }}: {{ m.content }};{% endfor %}"
        << "{% if add_generation_prompt %}it:{% endif %}{{ more }}";
  }
  EngineOptions options() const { return {.model = folder_.path()}; }
  // The same line twice: as a conversation, and as the text that the template makes of it.
  std::vector<Json> both(Json line, bool answer_next = true) const {
    auto prompt = line;
    line["messages"] = {{{"role", "user"}, {"content", "who?"}}};
    line["more"] = "!";
    if (!answer_next) line["add_generation_prompt"] = false;
    prompt["prompt"] = answer_next ? "user: who?;it:!" : "user: who?;!";
    return {line, prompt};
  }

  const tests::Folder folder_;
};

TEST_F(ConversationLines, Generate) {
  for (const Json& line :
       {Json{{"max_new_tokens", 8}}, Json{{"max_new_tokens", 8}, {"num_beams", 3}, {"n", 2}},
        Json{{"max_new_tokens", 16}, {"num_beams", 3}, {"stop", {"E", "u", "'"}}}}) {
    const auto out = run(*make_generate(options()), both(line));
    const size_t n = out.size() / 2;
    for (size_t k = 0; k < n; ++k) {
      EXPECT_EQ(out[k]["ids"], out[n + k]["ids"]) << line;
      EXPECT_EQ(out[k]["logprobs"], out[n + k]["logprobs"]) << line;
      EXPECT_EQ(out[k]["text"], out[n + k]["text"]) << line;
    }
  }
}

TEST_F(ConversationLines, Score) {
  const auto out = run(*make_score(options(), 0), both({{"continuation", "me"}}, false));
  EXPECT_EQ(out[0]["logprobs"], out[1]["logprobs"]);
  EXPECT_EQ(out[0]["logprobs"].size(), out[1]["logprobs"].size());
}

}  // namespace
}  // namespace preimage::tools
