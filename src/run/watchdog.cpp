#include "preimage/run/watchdog.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"

namespace preimage::run {

Watchdog::Watchdog(double limit_s, std::function<void(double)> on_silence)
    : limit_s_(limit_s),
      on_silence_(std::move(on_silence)),
      last_s_(std::numeric_limits<double>::infinity()) {
  if (limit_s_ > 0) thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard guard(mutex_);
    leaving_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Watchdog::disarm() {
  last_s_ = std::numeric_limits<double>::infinity();
}

void Watchdog::tick() {
  last_s_ = base::monotonic_seconds();
}

void Watchdog::watch() {
  std::unique_lock guard(mutex_);
  const auto pause = std::chrono::duration<double>(std::clamp(limit_s_ / 4, 0.01, 5.0));
  while (!wake_.wait_for(guard, pause, [this] { return leaving_; })) {
    const double silent_s = base::monotonic_seconds() - last_s_;
    if (silent_s <= limit_s_) continue;
    on_silence_(silent_s);
    _exit(static_cast<int>(base::ExitCode::bug));
  }
}

}  // namespace preimage::run
