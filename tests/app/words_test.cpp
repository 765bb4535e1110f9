// time limit: 90 s
// Words with a slip and what is said of them; what each command says of itself.
#include "app/program.hpp"

namespace preimage::app::tests {
namespace {

using testing::HasSubstr;

class Words : public ProgramTest {};

TEST_F(Words, WrongWordsNameTheNearest) {
  expect_refused({"schema", "dmc"}, 78, "unknown method \"dmc\" (did you mean \"dcm\"?)");
  expect_refused({"help", "finetun"}, 78, "(did you mean \"finetune\"?)");
  expect_refused({"help", "generat"}, 78, "(did you mean \"generate\"?)");
  const auto job = put("job.json", "{\n\"method\": \"finetunes\"}");
  expect_refused({"validate", job}, 78,
                 ":2: unknown method \"finetunes\" (did you mean \"finetune\"?)");
  expect_refused(
      {"generate", "--model", "x", "--ouput", "y"}, 78,
      "unknown option \"--ouput\" (did you mean \"--out\"?); see preimage generate --help");
  // Named before the option that is missing for its sake.
  expect_refused({"generate", "--modle", "x"}, 78,
                 "unknown option \"--modle\" (did you mean \"--model\"?)");
  expect_refused({"export", "x", "--out=y", "--jsnl"}, 78, "(did you mean \"--jsonl\"?)");
  expect_refused(
      {"-n", "2", "run", "x.json"}, 78,
      "\"-n\" is no option of preimage run but of \"launch\", \"validate\", \"submit\"; a run on N "
      "ranks is started by preimage launch JOB -n N");
  expect_refused({"-n", "2", "launch", "x.json"}, 78,
                 "the option \"-n\" stands before the command; write preimage launch ... -n");
  expect_refused({"run", "x.json", "--top", "3"}, 78,
                 "\"--top\" is no option of preimage run but of \"score\"");
  expect_refused({"run", "x.json", "--qqqqqq"}, 78, "unknown option \"--qqqqqq\"; see");
  expect_refused({"status", "a", "b"}, 78, "preimage status takes no further word, found \"b\"");
}

// The commands that `preimage --help` lists, with what each says of itself.
TEST_F(Words, EveryCommandHasAnExampleOfOptionsThatItHas) {
  std::istringstream all(preimage({"--help"}).out);
  bool listed = false;
  int commands = 0;
  for (std::string line; std::getline(all, line);) {
    if (line == "Subcommands:") listed = true;
    if (!listed || !line.starts_with("  ")) {
      listed &= !line.empty();
      continue;
    }
    ++commands;
    const auto name = line.substr(2, line.find(' ', 2) - 2);
    const auto help = preimage({name, "--help"});
    EXPECT_EQ(help.code, 0);
    if (name == "run" || name == "help") {
      EXPECT_EQ(preimage({"help", name}).out, help.out) << "help " << name;
    }
    const auto at = help.out.find("\nExample:\n");
    ASSERT_NE(at, std::string::npos) << name;
    const auto example = help.out.substr(at);
    EXPECT_THAT(example, HasSubstr("preimage " + name)) << name;
    std::istringstream words(example);
    for (std::string word; words >> word;) {
      if (word.starts_with("--")) {
        EXPECT_THAT(help.out.substr(0, at), HasSubstr(word)) << name;
      }
    }
  }
  EXPECT_GE(commands, 16);
}

}  // namespace
}  // namespace preimage::app::tests
