// Which of the two programs runs a command.
#pragma once

namespace preimage::app {

// Set in the environment of a command that preimage-lines has left to preimage.
constexpr const char* kWholeProgram = "PREIMAGE_WHOLE_PROGRAM";

}  // namespace preimage::app
