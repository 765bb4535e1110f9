// The file tree that programs see: the interpreter, its libraries, four devices, an empty /tmp.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "supervisor/python.hpp"

namespace preimage::sandbox {

struct RootOptions {
  Python python;
  std::vector<std::pair<std::string, std::string_view>> worker;  // name and text of each module
};

// Where things are, seen from inside.
inline constexpr char kInsidePython[] = "/python/bin/python";
inline constexpr char kInsideWorker[] = "/worker";

// Builds the tree in a fresh read-only tmpfs and makes it the root of this process's mount
// namespace, which must be its own; nothing of the old tree stays reachable. Throws
// ExitCode::unavailable.
void enter_root(const RootOptions& options);

}  // namespace preimage::sandbox
