// Checks of the paths that a job names, before anything runs.
#pragma once

#include <filesystem>
#include <string>

#include "preimage/base/config.hpp"

namespace preimage::base {

// One error more, with the field, the path and the folder that it counts from, where `path` is no
// regular file.
void require_file(ConfigErrors& errors, const std::string& field,
                  const std::filesystem::path& path);

}  // namespace preimage::base
