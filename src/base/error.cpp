#include "preimage/base/error.hpp"

#include <cstring>

namespace preimage::base {

void check(bool holds, std::string_view promise) {
  if (!holds)
    throw Error(ExitCode::bug, "bug in preimage: broken promise: " + std::string(promise));
}

Error errno_error(const std::string& what, int errnum) {
  return io_error(what + ": " + std::strerror(errnum));
}

}  // namespace preimage::base
