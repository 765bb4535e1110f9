// What config.json may leave out: the values of each family's config class in transformers 5.24,
// which tests/lm/checkpoint/config_keys_test.cpp compares with the classes themselves; and the keys
// that a family's files hold and that change nothing here.
#pragma once

#include <string_view>
#include <vector>

#include "preimage/base/json.hpp"

namespace preimage::lm {

// By model_type; an empty object for a family without a class of its own.
const base::Json& config_defaults(std::string_view model_type);
std::vector<std::string_view> idle_family_keys(std::string_view model_type);

}  // namespace preimage::lm
