#include "supervisor/events.hpp"

#include <sys/epoll.h>

#include <array>
#include <cerrno>

#include "preimage/base/error.hpp"

namespace preimage::sandbox {

Events::Events() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw base::errno_error("sandbox: epoll_create1 failed", errno);
}

void Events::add(int fd, std::function<void()> readable) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    throw base::errno_error("sandbox: epoll_ctl failed", errno);
  }
  handlers_[fd] = std::move(readable);
}

void Events::also_when_writable(int fd, bool wanted) {
  epoll_event event{};
  event.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
    throw base::errno_error("sandbox: epoll_ctl failed", errno);
  }
}

void Events::remove(int fd) {
  if (handlers_.erase(fd)) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Events::wait(int timeout_ms) {
  std::array<epoll_event, 64> ready;
  const int count =
      ::epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), timeout_ms);
  for (int i = 0; i < count; ++i) {
    // An earlier handler may have removed this one, or put another descriptor in its place: then
    // the handler finds nothing to read, as every one of ours may.
    const auto found = handlers_.find(ready[static_cast<size_t>(i)].data.fd);
    if (found == handlers_.end()) continue;
    const auto handler = found->second;  // it may remove itself
    handler();
  }
}

}  // namespace preimage::sandbox
