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

// A computation of 0.087 s of CPU time, as the sandbox counts it, where the limits were chosen
// (there the longest reference program of MBPP, number 123, takes 1.9 s, here 21.8 times the
// computation); how much longer it takes here scales them.
Request calibration_request();
inline constexpr double kReferenceCpuS = 0.087;

}  // namespace preimage::sandbox
