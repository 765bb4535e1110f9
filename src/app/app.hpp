// The command line.
#pragma once

namespace preimage::app {

// Runs one command; the process's exit code.
int main(int argc, char** argv);

}  // namespace preimage::app
