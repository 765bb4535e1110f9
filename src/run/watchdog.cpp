#include "preimage/run/watchdog.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::run {
namespace {

namespace fs = std::filesystem;
using base::str;

constexpr const char* kLeft = "left";

// How long something has not changed, in time in which the watcher itself was awake.
class Stillness {
 public:
  // `awake_s`: since the last call.
  double after(const std::string& sign, double awake_s) {
    seconds_ = sign == last_ ? seconds_ + awake_s : 0;
    last_ = sign;
    return seconds_;
  }
  void forget() { seconds_ = 0; }

 private:
  std::string last_;
  double seconds_ = 0;
};

std::string host_name() {
  char name[256] = "";
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

// A sign of life: "RUN COUNT HOST PID", or "RUN left" of a rank that ended in good order.
struct Sign {
  std::string run, count, host, pid;
};

Sign read_sign(const fs::path& path) {
  std::ifstream in(path);
  Sign out;
  in >> out.run >> out.count >> out.host >> out.pid;
  return out;
}

}  // namespace

Watchdog::Watchdog(WatchdogOptions options) : options_(std::move(options)) {
  if (options_.limit_s > 0) thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard guard(mutex_);
    leaving_ = true;
  }
  wake_.notify_all();
  thread_.join();
  show_life(true);
}

void Watchdog::arm() {
  tick();
  armed_ = true;
}

fs::path Watchdog::sign_of(int rank) const {
  return options_.folder / str("rank-", rank);
}

// One small write into a file that stays: whoever reads it half written sees that it changed. A
// full disk keeps the size.
void Watchdog::show_life(bool leaving) {
  if (options_.folder.empty() || options_.ranks == 1) return;
  std::string text = leaving ? str(options_.run, " ", kLeft)
                             : str(options_.run, " ", ++shown_, " ", host_name(), " ", ::getpid());
  text.resize(std::max<size_t>(text.size() + 1, 256), '\n');
  const int fd = ::open(sign_of(options_.rank).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return;
  (void)!::pwrite(fd, text.data(), text.size(), 0);
  ::close(fd);
}

void Watchdog::watch() {
  const int peer = (options_.rank + 1) % options_.ranks;
  const bool has_peer = options_.ranks > 1 && !options_.folder.empty();
  const double pause_s = std::clamp(options_.limit_s / 8, 0.01, 5.0);
  Stillness own, others;
  const auto end = [&](const Silence& silence) {
    options_.on_silence(silence);
    _exit(static_cast<int>(base::ExitCode::bug));
  };
  std::unique_lock guard(mutex_);
  for (;;) {
    show_life(false);
    const double before = base::monotonic_seconds();
    if (wake_.wait_for(guard, std::chrono::duration<double>(pause_s), [this] { return leaving_; }))
      return;
    const double awake_s = std::min(base::monotonic_seconds() - before, 2 * pause_s);
    if (!armed_) own.forget();
    if (const double silent_s = own.after(str(ticks_), awake_s);
        armed_ && silent_s > options_.limit_s) {
      end({options_.rank, silent_s,
           str("rank ", options_.rank, " on ", host_name(), ", pid ", ::getpid())});
    }
    if (!has_peer) continue;
    const auto sign = read_sign(sign_of(peer));
    const bool ours = sign.run == options_.run;
    if (ours && sign.count == kLeft) {
      others.forget();
      continue;
    }
    const double silent_s = others.after(ours ? sign.count : "", awake_s);
    if (silent_s > options_.limit_s) {
      end({peer, silent_s,
           ours ? str("rank ", peer, " on ", sign.host, ", pid ", sign.pid) : str("rank ", peer)});
    }
  }
}

}  // namespace preimage::run
