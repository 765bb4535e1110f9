#include "preimage/base/process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include "preimage/base/error.hpp"

namespace preimage::base {
namespace {

using testing::HasSubstr;

TEST(Process, EndsAndOutput) {
  const auto out = run_and_read({"sh", "-c", "echo out; echo err >&2; exit 3"});
  EXPECT_EQ(out.text, "out\n");
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

}  // namespace
}  // namespace preimage::base
