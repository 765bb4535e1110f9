// Proof that a program will never end: it comes back to a state in which it has been.
#pragma once

#include <sys/types.h>

namespace preimage::sandbox {

// Follows a process of one thread instruction by instruction and looks for the state in which it
// was before: the same registers, the same writable memory, and in between no system call, no look
// at a clock and nothing else from outside. From there on it can only repeat itself. False where
// that is not found within a thousand instructions (the loop counts something, or is long), and
// on other processors than x86-64. The process is stopped meanwhile and goes on afterwards. Needs
// the right to trace it.
bool comes_back(pid_t process);

// The same in a fork of its own, so that the supervisor need not wait.
pid_t start_proof(pid_t process);
enum class Proof { open, found, not_found };
struct ProofState {
  Proof proof;
  double cost_s;  // CPU time that it made the process spend, where it was not found
};
ProofState proof_state(pid_t proof);

}  // namespace preimage::sandbox
