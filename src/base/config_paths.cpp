#include "preimage/base/config_paths.hpp"

#include "preimage/base/str.hpp"

namespace preimage::base {

namespace fs = std::filesystem;

void require_file(ConfigErrors& errors, const std::string& field, const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) return;
  errors.push_back(str("\"", field, "\": found no file at ", path.string(),
                       "; paths count from the working folder ",
                       fs::current_path(ignored).string()));
}

}  // namespace preimage::base
