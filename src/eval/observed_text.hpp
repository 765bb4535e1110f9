// What an observed program says of itself.
#pragma once

#include <string>

#include "preimage/sandbox/program.hpp"

namespace preimage::eval {

// The text of the observed attribute, or "" where the program did not come so far.
std::string observed_text(const sandbox::Record& record);

}  // namespace preimage::eval
