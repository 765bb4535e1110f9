// The system calls that a program and its judge may make.
#pragma once

#include "supervisor/descriptor.hpp"

namespace preimage::sandbox {

enum class Role { candidate, judge };

// A compiled seccomp filter (an array of sock_filter) as a memory file. What is not on the list
// fails with EPERM; a call of another architecture (32 bit, x32) kills the process. The judge may
// not even start processes.
Descriptor compile_filter(Role role);

}  // namespace preimage::sandbox
