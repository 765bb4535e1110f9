// Loops that never end are proved to, and nothing else is: not one that ends late, nor one that
// waits for what comes from outside.
#include "supervisor/loop_proof.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <functional>
#include <thread>

namespace preimage::sandbox {
namespace {

#ifdef __x86_64__
// A process that runs `work` until the test is over.
class Running {
 public:
  explicit Running(const std::function<void()>& work) : pid_(::fork()) {
    if (pid_ == 0) {
      work();
      ::_exit(0);
    }
    ::usleep(20'000);  // it is in its loop
  }
  ~Running() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

volatile uint64_t counter = 0;

// The proof may miss an endless loop (what the kernel shows of the vector units can change while a
// process waits for its turn), but not again and again.
void expect_endless(const std::function<void()>& work) {
  const Running running(work);
  bool seen = false;
  for (int i = 0; i < 8 && !seen; ++i) seen = comes_back(running.pid());
  EXPECT_TRUE(seen);
}

void expect_open(const std::function<void()>& work) {
  const Running running(work);
  EXPECT_FALSE(comes_back(running.pid()));
}

TEST(LoopProof, LoopsThatComeBack) {
  expect_endless([] {
    while (true) asm volatile("");
  });
  expect_endless([] {
    for (uint64_t i = 0;; i = (i + 1) % 40) counter = i;
  });
  expect_endless([] {
    while (true) counter = counter ^ 1;
  });
}

// Each ends, though most of its state comes back in every turn.
TEST(LoopProof, LoopsThatEndLate) {
  expect_open([] {  // counts in a register
    for (uint64_t i = 0; i < uint64_t{1} << 60; ++i) asm volatile("" : "+r"(i));
  });
  expect_open([] {  // in memory
    while (counter < uint64_t{1} << 60) counter = counter + 1;
  });
  expect_open([] {  // in a vector register, compared once in 2^40 turns
    double left = 1e15;
    while (true) {
      asm volatile("" : "+x"(left));
      left -= 1;
      if (left < 0) break;
    }
  });
  expect_open([] {  // with a period longer than is looked for
    for (uint64_t i = 0;; i = (i + 1) % 1'000'000'000) counter = i;
  });
}

// The upper halves of the vector registers are state too.
TEST(LoopProof, ACounterInTheUpperHalfOfAVectorRegister) {
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "needs AVX2";
  expect_open([] {
    asm volatile(
        "vpxor %%xmm1, %%xmm1, %%xmm1\n\t"
        "vpcmpeqd %%xmm2, %%xmm2, %%xmm2\n\t"
        "vinserti128 $1, %%xmm2, %%ymm1, %%ymm1\n\t"  // ymm1: zeros, then minus ones
        "vpxor %%xmm0, %%xmm0, %%xmm0\n\t"
        "1: vpsubq %%ymm1, %%ymm0, %%ymm0\n\t"
        "jmp 1b\n\t" ::
            : "xmm0", "xmm1", "xmm2");
  });
}

// The state comes back until something outside lets the loop end.
TEST(LoopProof, LoopsThatWait) {
  expect_open([] {  // for a clock that is read without a system call and stands still for 4 ms
    timespec now{};
    do {
      ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
      now.tv_nsec = 0;
    } while (now.tv_sec >= 0);
  });
  expect_open([] {  // for the processor's own clock
    uint64_t low, high;
    do {
      asm volatile("rdtsc" : "=a"(low), "=d"(high));
      asm volatile("xor %%eax, %%eax\n\txor %%edx, %%edx" : "=a"(low), "=d"(high));
    } while (low == 0);
  });
  expect_open([] {  // for a system call
    while (::getppid() != 0) {
    }
  });
  expect_open([] {  // for another thread
    std::atomic<bool> done = false;
    std::thread other([&] {
      ::sleep(100);
      done = true;
    });
    while (!done) {
    }
  });
  expect_open([] {  // for a signal's handler
    ::signal(SIGALRM, [](int) { counter = 1; });
    ::alarm(100);
    while (counter == 0) {
    }
  });
  auto* shared = static_cast<volatile int*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  expect_open([=] {  // for another process
    while (*shared == 0) {
    }
  });
}

TEST(LoopProof, AProcessThatIsLetGoOnRunsOn) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Running running([=] {
    for (volatile int i = 0; i < 50'000'000;) i = i + 1;
    [[maybe_unused]] const auto wrote = ::write(ends[1], "x", 1);
  });
  EXPECT_FALSE(comes_back(running.pid()));
  char byte = 0;
  EXPECT_EQ(::read(ends[0], &byte, 1), 1);
}

TEST(LoopProof, OfNoProcess) {
  EXPECT_FALSE(comes_back(1 << 30));
}
#endif

}  // namespace
}  // namespace preimage::sandbox
