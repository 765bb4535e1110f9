// Ends a run in which a rank shows no sign of life: MPI itself never notices a rank in an endless
// loop, a stopped one, or one whose host is gone.
//
// Two signs of life: the main thread's tick, which its own watchdog awaits, and a file that each
// watchdog renews and that the rank before it in the ring awaits. Each judges by its own clock, and
// time in which it was stopped itself (SIGSTOP, a laptop that sleeps) does not count.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace preimage::run {

struct Silence {
  int rank = 0;
  double seconds = 0;
  std::string who;  // "rank 1 on HOST, pid 12", as far as it said
};

struct WatchdogOptions {
  double limit_s = 0;  // <= 0: never
  // Runs on the watchdog's thread; the process leaves by _exit(70) afterwards, which ends the other
  // ranks too.
  std::function<void(const Silence&)> on_silence;
  std::filesystem::path folder = {};  // of the signs of life of all ranks; empty: nobody else's
  int rank = 0, ranks = 1;
  std::string run = {};  // tells this start's signs from those of an earlier one
};

class Watchdog {
 public:
  explicit Watchdog(WatchdogOptions options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // The main thread is watched from arm() to disarm(): while a rank waits for others, silence is
  // right.
  void arm();
  void disarm() { armed_ = false; }
  void tick() { ++ticks_; }

 private:
  void watch();
  void show_life(bool leaving);
  std::filesystem::path sign_of(int rank) const;
  WatchdogOptions options_;
  std::atomic<int64_t> ticks_ = 0;
  std::atomic<bool> armed_ = false;
  int64_t shown_ = 0;
  bool leaving_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace preimage::run
