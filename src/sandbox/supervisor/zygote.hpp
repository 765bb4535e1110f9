// The warm interpreters behind their walls; worker/zygote.py is what they run.
#pragma once

#include <sys/types.h>

#include "preimage/sandbox/pool.hpp"
#include "supervisor/descriptor.hpp"
#include "supervisor/python.hpp"
#include "walls/filter.hpp"

namespace preimage::sandbox {

// Host uids: the zygote's own is `first`, those of its programs follow.
struct UserRange {
  uint32_t first = 0;
  uint32_t count = 0;
};

// A range for each role that no other supervisor on this host uses (it follows from the process
// id), inside what this process's own user namespace maps.
UserRange user_range(Role role);

struct ZygoteOptions {
  Role role = Role::candidate;
  Level level = Level::full;
  Walls walls;
  Limits limits;
  Python python;
  bool keep_child_signal = false;  // FilterOptions
};

struct Zygote {
  pid_t pid = 0;       // on the host; it is the init of everything below it
  Descriptor control;  // SOCK_SEQPACKET
};

// Forks (the supervisor has one thread), puts up the outer walls and starts the interpreter, which
// answers when it has imported its modules. Throws ExitCode::unavailable with what is missing.
Zygote start_zygote(const ZygoteOptions& options);

}  // namespace preimage::sandbox
