// One run at a time in a folder: a lease file that names its holder, free of flock (which some
// network file systems lack).
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "preimage/base/json.hpp"

namespace preimage::run {

struct LockOptions {
  double lease_s =
      30;  // a holder that cannot be seen counts as gone when it has not renewed for so long
  double renew_s = 5;
  // Called on another thread when somebody judged us dead and took the folder: the run must stop.
  std::function<void()> on_lost = {};
};

// Whether a folder still belongs to the run that locked it: any rank may ask, and asks before it
// changes anything there. While a machine sleeps, another may have taken the folder over.
class FolderClaim {
 public:
  FolderClaim() = default;  // of nobody's folder: always held
  FolderClaim(const std::filesystem::path& folder, std::string content);
  // What the lock says; how ranks tell each other.
  const std::string& content() const { return content_; }
  bool held() const;
  // Throws ExitCode::stopped, naming who has the folder now.
  void require_held() const;

 private:
  std::filesystem::path path_;
  std::string content_;
};

// Holds DIR/lock from construction to destruction. A lock is taken over when its holder is gone:
// its process is dead (same host, boot and PID namespace), the host has booted since, or the lease
// has not been renewed. Throws ExitCode::bad_config naming host, pid and age of the holder.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder, const LockOptions& options = {});
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  const std::string& content() const { return content_; }

 private:
  bool try_acquire(std::string& holder);
  bool take_over(const std::string& stale, const std::filesystem::path& mine);
  void renew();

  std::filesystem::path path_;
  LockOptions options_;
  std::string content_;
  bool leaving_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread renewer_;
};

// The living run that uses `folder`, as "host H, pid P, last sign of life T ago", or "".
std::string folder_user(const std::filesystem::path& folder, double lease_s = 30);

}  // namespace preimage::run
