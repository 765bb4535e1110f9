// time limit: 60 s
// Limits of time: what uses them up, what may have waited for others, and what a repetition says.
#include <chrono>

#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "sandbox/opened.hpp"

namespace preimage::sandbox::tests {
namespace {

using testing::HasSubstr;

// What used up its time by itself would do so again; what may have waited for others is asked again
// alone, and so is what ended by itself over the limit.
TEST(TimeOuts, CountAfterASecondRunAloneWhereItCouldShowAnythingElse) {
  auto options = quick_options();
  options.limits.cpu_s = 0.3;
  options.limits.wall_s = 1.2;  // beside the 0.45 s of CPU there is the look for an endless loop
  Opened opened(options);
  const std::string f = "def f(x): return x + 1\n";
  const auto expect = [&](const std::string& program, int runs) {
    const auto record = opened.judge(request(program));
    EXPECT_EQ(record.verdict, Verdict::timeout) << program << record.detail;
    EXPECT_EQ(record.first_verdict, Verdict::timeout);
    EXPECT_EQ(record.runs, runs) << program << record.detail;
    return record;
  };
  EXPECT_GT(expect("x = 0\nwhile True: x += 1\n", 1).cpu_s, 0.44);
  expect("import time\ntime.sleep(100)\n", 1);
  expect("import os, time\nif os.fork() == 0: time.sleep(100)\nos.wait()\n", 2);
  expect(
      "import threading, time\nthreading.Thread(target=time.sleep, args=(100,)).start()\n"
      "time.sleep(100)\n",
      2);
  expect("import time\nwhile time.process_time() < 0.37: pass\n" + f, 2);
}

// No PASS beyond a limit, whoever looked late; and what a record says of the clock fits.
TEST(TimeOuts, TheLimitsAreLimits) {
  auto options = quick_options();
  options.limits.cpu_s = 0.5;
  options.limits.wall_s = 1.5;
  std::vector<Request> requests;
  for (const double s : {0.4, 0.51, 0.53, 0.6}) {  // between two looks
    requests.push_back(request(base::str("import time\nwhile time.process_time() < ", s,
                                         ": pass\ndef f(x): return x + 1\n")));
  }
  for (const double s : {1.4, 1.52, 1.6}) {
    requests.push_back(
        request(base::str("import time\ntime.sleep(", s, ")\ndef f(x): return x + 1\n")));
  }
  for (const bool confirm : {true, false}) {
    options.confirm_timeouts = confirm;
    Opened opened(options);
    for (const auto& record : judge_all(opened.pool, requests)) {
      EXPECT_TRUE(record.verdict == Verdict::pass || record.verdict == Verdict::timeout);
      EXPECT_EQ(record.verdict == Verdict::timeout, record.cpu_s > 0.5 || record.wall_s > 1.5)
          << record.detail << " " << record.cpu_s << " " << record.wall_s;
      if (record.detail.ends_with("by the clock")) {
        EXPECT_GE(record.wall_s, 1.5);
      }
    }
  }
}

// What the judge has to do with a result is limited, too: these numbers all have the hash 0.
TEST(TimeOuts, TheJudgesOwnWorkIsLimited) {
  auto options = quick_options();
  options.limits.wall_s = 1.5;  // of which the judge may compute for 1 s
  Opened opened(options);
  const std::string program = "def f(x): return [i * ((1 << 61) - 1) for i in range(200_000)]\n";
  for (const char* test : {"assert set(f(3)) == {1}", "assert len(dict.fromkeys(f(3))) == 1"}) {
    const auto record = opened.judge(asserting(program, {test}));
    EXPECT_EQ(record.verdict, Verdict::timeout) << record.detail;
    EXPECT_EQ(record.runs, 1);
    EXPECT_THAT(record.detail, HasSubstr("its judge needed more than 1 s of CPU time"));
    EXPECT_GE(record.wall_s + record.waited_s, 1);
  }
  EXPECT_EQ(opened.judge(asserting(program, {"assert f(3) == {1}"})).verdict, Verdict::wrong);
}

// Time says nothing against answers that were right within it: a repetition that runs out of it
// (near its limit, or where others took the processor) does not turn a PASS.
TEST(TimeOuts, OfARepetitionCountForNothing) {
  Opened opened;
  const double at =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count() +
      3;
  auto asked =
      request(base::str("import time\nif time.time() > ", base::shortest(at),
                        ":\n    while True: pass\n"
                        "time.sleep(max(0, ",
                        base::shortest(at), " + 0.1 - time.time()))\ndef f(x): return x + 1\n"));
  const auto is_repeated = [&] {  // one of 32, chosen by the program
    const auto digest = base::sha256(base::str(asked.seed, ":", asked.id, ":", asked.program));
    return digest[7] % 32 == 0;
  };
  for (int i = 0; !is_repeated(); ++i) asked.id = std::to_string(i);
  const auto record = opened.judge(asked);
  EXPECT_EQ(record.verdict, Verdict::pass) << record.detail;
  EXPECT_EQ(record.runs, 2);
  EXPECT_LT(record.cpu_s, 1);
}

}  // namespace
}  // namespace preimage::sandbox::tests
