#include "preimage/base/process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preimage/base/error.hpp"

namespace preimage::base {
namespace {

using testing::HasSubstr;

TEST(Process, EndsAndOutput) {
  const auto out = run_and_read({"sh", "-c", "echo out; echo err >&2; exit 3"});
  EXPECT_EQ(out.text, "out\n");
  EXPECT_EQ(out.errors, "err\n");
  EXPECT_EQ(out.end.exit_code, 3);
  EXPECT_EQ(out.end.signal, 0);
  EXPECT_EQ(run_and_read({"sh", "-c", "kill -9 $$"}).end.exit_code, 137);
  EXPECT_EQ(run_and_read({"sh", "-c", "kill -9 $$"}).end.signal, 9);
  EXPECT_EQ(run_and_read({"sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x"}, 10).text,
            "xxxxxxxxxx");
  EXPECT_EQ(run_and_read({"cat"}).text, "");  // standard input is /dev/null
  EXPECT_EQ(run_and_read({"printf", "%s", "a b;$HOME"}).text, "a b;$HOME");  // no shell
}

TEST(Process, AMissingProgramIsUnavailable) {
  try {
    run_and_read({"/no/such/program"});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::unavailable);
    EXPECT_THAT(error.what(), HasSubstr("cannot start /no/such/program"));
  }
}

TEST(Process, NamesAreTakenFromTheEnvironment) {
  ::setenv("PREIMAGE_TEST_A", "1", 1);
  ::setenv("PREIMAGE_TEST_B", "2", 1);
  ProcessOptions options;
  options.argv = {"sh", "-c", "echo $PREIMAGE_TEST_A,$PREIMAGE_TEST_B"};
  EXPECT_EQ(run_and_read(options).text, "1,2\n");
  options.removed = {"PREIMAGE_TEST_"};
  options.environment = {"PREIMAGE_TEST_B=3"};
  EXPECT_EQ(run_and_read(options).text, ",3\n");
}

TEST(Process, EnvironmentIsAddedTo) {
  ::setenv("PREIMAGE_A", "old", 1);
  ::setenv("PREIMAGE_B", "kept", 1);
  const auto pid = start_process({.argv = {"sh", "-c", "test $PREIMAGE_A$PREIMAGE_B = newkept"},
                                  .environment = {"PREIMAGE_A=new"}});
  EXPECT_EQ(wait_process(pid).exit_code, 0);
}

TEST(Process, IgnoredSignalsAreNotInherited) {
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(run_and_read({"sh", "-c", "kill -PIPE $$; echo alive"}).text, "");
  ::signal(SIGPIPE, SIG_DFL);
}

TEST(Process, SignalsCanBeIgnoredFromTheFirstInstruction) {
  const auto pid =
      start_process({.argv = {"sh", "-c", "kill -USR2 $$; exit 5"}, .ignored = {SIGUSR2}});
  EXPECT_EQ(wait_process(pid).exit_code, 5);
  EXPECT_THROW(start_process({.argv = {"/no/such/program"}, .ignored = {SIGUSR2}}), Error);
}

TEST(Process, DiesWithItsParent) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    ::close(ends[0]);
    start_process({.argv = {"sleep", "600"}, .stdout_fd = ends[1], .death_signal = SIGTERM});
    ::kill(::getpid(), SIGKILL);
  }
  ::close(ends[1]);
  ::waitpid(parent, nullptr, 0);
  char byte;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0);  // its end of the pipe closes
  ::close(ends[0]);
}

}  // namespace
}  // namespace preimage::base
