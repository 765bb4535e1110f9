#include "preimage/lm/shared_model.hpp"

#include <c10/core/ScalarType.h>

#include "preimage/base/str.hpp"

namespace preimage::lm {

std::string load_key(const std::filesystem::path& folder, const LoadOptions& options) {
  const auto place = [](const std::filesystem::path& path) {
    std::error_code ignored;
    return path.empty() ? "" : std::filesystem::weakly_canonical(path, ignored).string();
  };
  return base::str(place(folder), "\n", c10::toString(options.dtype), "\n", options.device.str(),
                   "\n", weight_format_name(options.weights), "\n", place(options.adapter), "\n",
                   options.head, "\n", options.context);
}

}  // namespace preimage::lm
