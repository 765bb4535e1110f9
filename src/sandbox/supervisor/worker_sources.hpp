// worker/*.py, compiled in (scripts/cmake/sandbox.cmake).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace preimage::sandbox {

std::vector<std::pair<std::string, std::string_view>> worker_sources();

}  // namespace preimage::sandbox
