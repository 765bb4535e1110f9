// Probes that must not get through, and the speed of this machine.
#pragma once

#include <string>

#include "preimage/sandbox/pool.hpp"

namespace preimage::sandbox {

struct Probe {
  const char* name;  // "the environment is empty"
  const char*
      program;      // defines probe(), which returns "" where the wall holds, else what it found
  const char* fix;  // what to do about a wall that does not
};
const std::vector<Probe>& probes();

// The probe as a program with a test.
Request request_for(const Probe& probe);

// Throws ExitCode::unavailable unless the wall held.
void require_held(const Probe& probe, const Record& record);

// A computation of about 0.15 s of CPU time where the limits were chosen; how much longer it takes
// here scales them.
Request calibration_request();
inline constexpr double kReferenceCpuS = 0.15;

}  // namespace preimage::sandbox
