// The system calls that a program and its judge may make.
#pragma once

#include "supervisor/descriptor.hpp"

namespace preimage::sandbox {

enum class Role { candidate, judge };

struct FilterOptions {
  Role role = Role::candidate;
  // SIGCHLD keeps its default action. Each child is then waited for, or a zombie as long as its
  // program lives, and its CPU time can be seen either way; of a child that nobody has to wait for
  // (SIG_IGN, SA_NOCLDWAIT) only a control group knows it.
  bool keep_child_signal = false;
};

// A compiled seccomp filter (an array of sock_filter) as a memory file. What is not on the list
// fails with EPERM; a call of another architecture (32 bit, x32) kills the process. The judge may
// not even start processes.
Descriptor compile_filter(const FilterOptions& options);

}  // namespace preimage::sandbox
