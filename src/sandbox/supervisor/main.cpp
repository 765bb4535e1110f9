// preimage-sandbox: started by a preimage program, with its socket as standard input.
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdio>

#include "preimage/base/error.hpp"
#include "supervisor/server.hpp"

int main() {
  struct stat status {};
  if (::fstat(0, &status) != 0 || !S_ISSOCK(status.st_mode)) {
    std::fputs(
        "preimage-sandbox: it is started by preimage (preimage judge, preimage run), not by hand\n",
        stderr);
    return static_cast<int>(preimage::base::ExitCode::bad_config);
  }
  return preimage::sandbox::serve(0);
}
