// File descriptors that close themselves, and the few ways in which ours are made.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace preimage::sandbox {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

// Ends of a pipe or of a socket pair; all close-on-exec.
struct Pair {
  Descriptor first, second;
};
Pair make_pipe();                                // first reads, second writes
Pair make_sockets(int type);                     // SOCK_STREAM, SOCK_SEQPACKET
Descriptor memory_file(std::string_view bytes);  // at offset 0

void set_nonblocking(int fd);

// One packet with descriptors. False when the peer is gone.
bool send_packet(int socket, std::string_view text, const std::vector<int>& descriptors = {});

struct Packet {
  std::string text;  // "": the peer is gone
  pid_t pid = 0;     // of the sender, where the socket passes credentials
};
// The next packet; nothing was there when `empty`.
Packet receive_packet(int socket, bool& empty);

}  // namespace preimage::sandbox
