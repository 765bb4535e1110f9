// The life of preimage-sandbox: opens when a client asks, then judges what comes over its socket.
#pragma once

namespace preimage::sandbox {

// Serves the client on `socket` until it is gone. Returns the exit code of the process.
int serve(int socket);

}  // namespace preimage::sandbox
