#include "preimage/base/budget.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ctime>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::base {
namespace {

TEST(Budget, TheEndOfASlurmJobLimits) {
  ::setenv("SLURM_JOB_END_TIME", str(std::time(nullptr) + 1000).c_str(), 1);
  EXPECT_FALSE(Budget(0, 30).must_stop());
  EXPECT_EQ(Budget(0, 2000).reason(), "walltime");
  for (const char* garbage : {"", "soon", "12x", "-5", "0", "1e9", " 1800000000", "4h"}) {
    ::setenv("SLURM_JOB_END_TIME", garbage, 1);
    try {
      Budget budget;
      ADD_FAILURE() << garbage;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_config);
      EXPECT_THAT(error.what(), testing::HasSubstr(str("found \"", garbage, "\"")));
    }
  }
  ::unsetenv("SLURM_JOB_END_TIME");
}

// In a child: signals are seen once and for all.
int seen_after(int signal, bool ignored) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (ignored) ::signal(signal, SIG_IGN);
    catch_stop_signals();
    ::raise(signal);
    _exit(Budget().reason() == "signal" ? 1 : 2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(Budget, SignalsStop) {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR2, SIGHUP})
    EXPECT_EQ(seen_after(signal, false), 1);
  EXPECT_EQ(seen_after(SIGHUP, true), 2);   // nohup
  EXPECT_EQ(seen_after(SIGINT, true), 1);   // the background of a shell
  EXPECT_EQ(seen_after(SIGTERM, true), 1);  // whoever ignores it does not mean us
}

}  // namespace
}  // namespace preimage::base
