// time limit: 90 s
// The same kind of mistake ends with the same code, whatever the command.
#include "app/program.hpp"

namespace preimage::app::tests {
namespace {

using testing::HasSubstr;

class ExitCodes : public ProgramTest {
 protected:
  const std::string model = std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/qwen2_text";
};

TEST_F(ExitCodes, OfMistakesThatManyCommandsKnow) {
  const auto job = put("job.json", finetune().dump());
  const auto lines = put("lines", "{\"text\":\"a\"}\n"), nothing = path("nothing");
  const std::vector<std::string> tokenize = {"tokenize", "--model", model};
  const auto with = [](std::vector<std::string> words, const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  // A path that the command line or the job names, where nothing is: 78.
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"run", nothing},
           {"validate", nothing},
           {"submit", nothing, "--slurm"},
           {"validate", job, "--set", "finetune.text=" + nothing},
           {"validate", job, "--set", "finetune.model=" + nothing},
           {"status", nothing},
           {"inspect", nothing},
           {"export", nothing, "--csv", "--out", path("x")},
           {"merge", nothing, "--out", path("x")},
           {"tokenize", "--model", nothing},
           {"judge", "--exclude", nothing},
           with(tokenize, {"--in", nothing}),
           {"judge", "--in", nothing}}) {
    const auto ended = preimage(words);
    EXPECT_EQ(ended.code, 78) << base::join(words, " ") << "\n" << ended.err;
    EXPECT_THAT(ended.err, HasSubstr(nothing));
  }
  // A folder where a file is expected: 78 too.
  expect_refused({"validate", path("")}, 78, "");
  expect_refused(with(tokenize, {"--in", path("")}), 78, "");
  // What is there and holds something wrong: 65.
  const auto garbage = put("garbage", "{{{\n");
  expect_refused({"inspect", garbage}, 65, garbage);
  expect_refused(with(tokenize, {"--in", garbage}), 65, garbage + ":1");
  expect_refused({"judge", "--in", garbage}, 65, garbage + ":1");
  // An output that cannot be written: 74.
  const auto folder = path("no/such/folder/out");
  expect_refused(with(tokenize, {"--in", lines, "--out", folder}), 74, "does not exist");
  expect_refused({"judge", "--in", lines, "--out", folder}, 74, "does not exist");
  expect_refused({"submit", job, "--slurm", "--script", folder}, 74, "no/such/folder");
  const auto file = put("file", "");
  expect_refused({"run", job, "--out", file + "/out"}, 74, file);
}

}  // namespace
}  // namespace preimage::app::tests
