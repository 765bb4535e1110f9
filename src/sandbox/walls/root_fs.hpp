// The file tree that programs see: the interpreter, its libraries, five devices, an empty /tmp.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "supervisor/python.hpp"

namespace preimage::sandbox {

struct RootOptions {
  Python python;
  // Copies in memory in place of the host's files, read-only. Which pages of a file are in memory
  // is the same for all who read it: by what it reads, and by how long others take to, a program
  // could talk to those of another slot or another sandbox. About 80 MB; what no program imports
  // (packages of the site, the library's own tests) stays outside.
  bool copies = false;
  std::vector<std::pair<std::string, std::string_view>> worker;  // name and text of each module
};

// Where things are, seen from inside.
inline constexpr char kInsidePython[] = "/python/bin/python";
inline constexpr char kInsideWorker[] = "/worker";
// Shared libraries of the interpreter's own, from folders where no loader looks by itself; there
// only where it has some.
inline constexpr char kInsideLibraries[] = "/python/libraries";

// Builds the tree in a fresh read-only tmpfs and makes it the root of this process's mount
// namespace, which must be its own; nothing of the old tree stays reachable. Throws
// ExitCode::unavailable.
void enter_root(const RootOptions& options);

}  // namespace preimage::sandbox
