// Ends a process that shows no sign of life: MPI itself never notices a rank in an endless loop.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace preimage::run {

class Watchdog {
 public:
  // `limit_s` <= 0: never. `on_silence` runs on the watchdog's thread; the process leaves by
  // _exit(70) afterwards, which ends the other ranks too.
  Watchdog(double limit_s, std::function<void(double silent_s)> on_silence);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Watches from arm() to disarm(): while a rank waits for others, silence is right.
  void arm() { tick(); }
  void disarm();
  void tick();

 private:
  void watch();
  double limit_s_;
  std::function<void(double)> on_silence_;
  std::atomic<double> last_s_;
  bool leaving_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace preimage::run
