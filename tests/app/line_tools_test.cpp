// time limit: 90 s
// What the commands over JSON Lines have in common, as a user meets it: fields with a slip, the
// choice of fields, lines that are written as they are done, and going on behind them.
#include <sys/wait.h>

#include <csignal>

#include "app/program.hpp"

namespace preimage::app::tests {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class LineTools : public ProgramTest {
 protected:
  const std::string model = std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/qwen2_text";

  std::vector<std::string> generate(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"generate", "--model", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // Lines of any lengths; some have several results.
  std::string put_prompts(const std::string& name, int count, int tokens) const {
    std::vector<Json> lines;
    for (int i = 0; i < count; ++i) {
      lines.push_back({{"id", base::str("p", i)},
                       {"prompt_ids", {1 + i % 100, 7}},
                       {"max_new_tokens", 1 + (i * 7) % tokens},
                       {"ignore_eos", true},
                       {"n", 1 + i % 2}});
    }
    return put_lines(name, lines);
  }
};

TEST_F(LineTools, FieldsWithASlipAreNamedOnceAndCarried) {
  const std::string input =
      "{\"prompt\":\"a\",\"max_new_tokens\":1,\"temprature\":1.5,\"mine\":3}\n"
      "{\"prompt\":\"a\",\"max_new_tokens\":1,\"max_tokens\":5,\"temprature\":0}\n";
  const auto ended = preimage(generate(), input);
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(
      ended.err,
      "preimage: warning: standard input:1: found the field \"temprature\", which means nothing "
      "here; did you mean \"temperature\"? (2 lines; carried through; --strict refuses it)\n"
      "preimage: warning: standard input:2: found the field \"max_tokens\", which means nothing "
      "here; did you mean \"max_new_tokens\"? (1 line; carried through; --strict refuses it)\n");
  const auto lines = lines_of(ended.out);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["temprature"], 1.5);
  EXPECT_EQ(lines[0]["mine"], 3);
  expect_refused(generate({"--strict"}), 65, "standard input:1: found the field \"temprature\"",
                 input);
  const auto skipped = preimage(generate({"--strict", "--on-bad-line", "skip"}), input);
  EXPECT_EQ(skipped.code, 0);
  EXPECT_EQ(skipped.out, "");
  EXPECT_THAT(skipped.err, HasSubstr("2 bad lines skipped"));
}

TEST_F(LineTools, TextComesFirstAndFieldsChoose) {
  const std::string input =
      "{\"prompt\":\"a\",\"max_new_tokens\":2,\"ignore_eos\":true,\"mine\":1e-3}\n";
  EXPECT_THAT(preimage(generate(), input).out, StartsWith("{\"text\":"));
  const auto all = lines_of(preimage(generate(), input).out)[0];
  const auto chosen = preimage(generate({"--fields", "text,ids"}), input).out;
  EXPECT_EQ(chosen, "{\"text\":" + all["text"].dump() + ",\"id\":1,\"ids\":" + all["ids"].dump() +
                        ",\"mine\":0.001}\n");
  EXPECT_THAT(preimage(generate({"--fields", "ids,text"}), input).out,
              StartsWith("{\"id\":1,\"ids\":"));
  expect_refused(generate({"--fields", "text,idz"}), 78, "found \"idz\" (did you mean \"ids\"?)",
                 input);
}

TEST_F(LineTools, AKilledRunLeavesWholeLinesAndGoesOnBehindThem) {
  const auto in = put_prompts("in", 200, 40), out = path("out");
  ASSERT_EQ(preimage(generate({"--in", in, "--out", path("whole"), "--batch", "4"})).code, 0);
  const auto whole = text_of("whole");
  const pid_t pid = base::start_process({.argv = {PREIMAGE_BINARY, "generate", "--model", model,
                                                  "--in", in, "--out", out, "--batch", "4"}});
  const auto size = [&] {
    std::error_code none;
    const auto bytes = fs::file_size(out, none);
    return none ? 0 : bytes;
  };
  const auto ended = [&] {
    siginfo_t info = {};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid;
  };
  while (size() == 0 && !ended()) ::usleep(2000);
  ::kill(pid, SIGKILL);
  base::wait_process(pid);
  const auto kept = text_of("out");
  ASSERT_FALSE(kept.empty());
  ASSERT_LT(kept.size(), whole.size()) << "it had ended before the kill: the test shows nothing";
  EXPECT_THAT(whole, StartsWith(kept));
  const auto resumed = preimage(generate({"--in", in, "--out", out, "--batch", "4", "--resume"}));
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(text_of("out"), whole);
}

// A half of the output, cut within a line; on other numbers of ranks than it was made on.
TEST_F(LineTools, ResumedOnAnyNumberOfRanksTheFileIsTheSame) {
  const auto in = put_prompts("in", 60, 9), out = path("out");
  ASSERT_EQ(preimage(generate({"--in", in, "--out", path("whole")})).code, 0);
  const auto whole = text_of("whole");
  for (const int ranks : {1, 2}) {
    put("out", whole.substr(0, whole.size() / 3));
    // What the second rank had made when all were killed.
    const size_t late = whole.find('\n', 2 * whole.size() / 3) + 1;
    put("out.rank-001", whole.substr(late, whole.size() / 6));
    const auto ended = preimage(generate({"--in", in, "--out", out, "--resume"}), "", ranks);
    EXPECT_EQ(ended.code, 0) << ended.err;
    EXPECT_EQ(text_of("out"), whole) << ranks;
    EXPECT_FALSE(fs::exists(out + ".rank-001"));
  }
  expect_refused(generate({"--in", in, "--resume"}), 78,
                 "--resume goes on behind what a file holds");
}

// preimage becomes preimage-lines for tokenize and judge.
TEST_F(LineTools, TokenizeAndJudgeStartWithoutTorchAndMpi) {
  const std::string whole = program_;
  program_ = whole + "-lines";
  ::setenv("LD_TRACE_LOADED_OBJECTS", "1", 1);  // the loader lists them and starts nothing
  const auto libraries = preimage({});
  ::unsetenv("LD_TRACE_LOADED_OBJECTS");
  EXPECT_THAT(libraries.out, HasSubstr("libc.so"));
  for (const char* name : {"torch", "libmpi", "hdf5", "c10"})
    EXPECT_THAT(libraries.out, Not(HasSubstr(name)));

  program_ = whole;
  const std::string input = "{\"text\": \"a b\"}\n{\"ids\": [5, 6]}\n";
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"tokenize", "--model", model, "--fields", "ids,text"},
           {"tokenize", "--help"},
           {"judge", "--help"},
           {"tokenize", "--model", model, "--top", "3"},    // an option of score
           {"tokenize", "--model", model, "--ouput", "x"},  // a slip
           {"tokenize", "--model", model, "--threads", "4000"},
           {"tokenize", "--model", path("nowhere")}}) {
    const auto here = preimage(words, input);
    ::setenv("PREIMAGE_WHOLE_PROGRAM", "1", 1);
    const auto there = preimage(words, input);
    ::unsetenv("PREIMAGE_WHOLE_PROGRAM");
    const auto shown = base::join(words, " ");
    EXPECT_EQ(here.code, there.code) << shown;
    EXPECT_EQ(here.out, there.out) << shown;
    EXPECT_EQ(here.err, there.err) << shown;
  }
}

TEST_F(LineTools, JudgeHasThemToo) {
  std::vector<Json> lines;
  for (int i = 0; i < 6; ++i)
    lines.push_back({{"id", i},
                     {"program", base::str("def f(x): return x + ", i % 2)},
                     {"assert_tests", {"assert f(1) == 2"}}});
  lines[4]["assert_test"] = 1;
  const auto in = put_lines("in", lines), out = path("out");
  std::vector<std::string> judge = {"judge",    "--no-calibration",
                                    "--level",  ::geteuid() == 0 ? "full" : "user",
                                    "--in",     in,
                                    "--out",    out,
                                    "--fields", "verdict,wall_s"};
  const auto ended = preimage(judge);
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.err,
              HasSubstr("in:5: found the field \"assert_test\", which means nothing here; did "
                        "you mean \"assert_tests\"?"));
  const auto whole = text_of("out");
  const auto records = lines_of(whole);
  ASSERT_EQ(records.size(), 6u);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(records[i]["verdict"], i % 2 ? "PASS" : "WRONG");
    // As few digits as a float32 has.
    EXPECT_LE(records[i]["wall_s"].dump().size(), 14u) << records[i];
    EXPECT_FALSE(records[i].contains("cpu_s"));
  }
  EXPECT_THAT(whole, StartsWith("{\"id\":0,\"verdict\":\"WRONG\",\"wall_s\":"));
  // Three records stand, the third as the last one is judged again.
  size_t third = 0;
  for (int i = 0; i < 3; ++i) third = whole.find('\n', third) + 1;
  put("out", whole.substr(0, third + 5));
  judge.push_back("--resume");
  EXPECT_EQ(preimage(judge).code, 0);
  const auto again = lines_of(text_of("out"));
  ASSERT_EQ(again.size(), 6u);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(again[i], records[i]) << "kept as it was";
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(again[i]["verdict"], records[i]["verdict"]);
  judge.insert(judge.end(), {"--strict"});
  expect_refused(judge, 65, "in:5: found the field \"assert_test\"");
}

}  // namespace
}  // namespace preimage::app::tests
