// One run at a time in a folder: a lease file that names its holder, free of flock (which some network
// file systems lack).
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include "preimage/base/json.hpp"

namespace preimage::run {

struct LockOptions {
  double lease_s = 30;  // a holder that cannot be seen counts as gone when it has not renewed for so long
  double renew_s = 5;
  double wait_s = 0;  // how long to wait for a holder to go before refusing
};

// Holds DIR/lock from construction to destruction. A lock is taken over when its holder is gone: its
// process is dead (same host, boot and PID namespace), the host has booted since, or the lease has not
// been renewed. Throws ExitCode::bad_config naming host, pid and age of the holder.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder, const LockOptions& options = {});
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  // True once the file is no longer ours: somebody judged us dead. The run must stop.
  bool lost() const { return lost_; }

 private:
  bool try_acquire(std::string& holder);
  bool take_over(const std::string& stale, const std::filesystem::path& mine);
  void renew();

  std::filesystem::path path_;
  LockOptions options_;
  std::string content_;
  std::atomic<bool> lost_ = false;
  bool leaving_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread renewer_;
};

}  // namespace preimage::run
