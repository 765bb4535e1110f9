// Which descriptors are ready, and what to do then.
#pragma once

#include <functional>
#include <unordered_map>

#include "supervisor/descriptor.hpp"

namespace preimage::sandbox {

// A handler may add and remove descriptors, its own too.
class Events {
 public:
  Events();
  void add(int fd, std::function<void()> readable);
  void remove(int fd);
  // Calls its handler when it can be written to, too.
  void also_when_writable(int fd, bool wanted);
  // Calls the handlers of what is ready, after at most `timeout_ms`.
  void wait(int timeout_ms);

 private:
  Descriptor epoll_;
  std::unordered_map<int, std::function<void()>> handlers_;
};

}  // namespace preimage::sandbox
