#include "preimage/run/context.hpp"

#include <algorithm>
#include <string_view>

#include "preimage/base/sha256.hpp"

namespace preimage::run {
namespace {

constexpr size_t kLongestName = 120;  // bytes; file systems hold 255

bool plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._=,+-").find(c) != std::string_view::npos;
}

}  // namespace

std::string combination_name(const base::Json& sweep) {
  std::string name;
  for (const auto& [field, value] : sweep.items()) {
    name += (name.empty() ? "" : ",") + field + "=" +
            (value.is_string() ? value.get<std::string>() : base::canonical(value));
  }
  if (name.size() <= kLongestName && std::all_of(name.begin(), name.end(), plain)) return name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !plain(c); }, '-');
  return name.substr(0, kLongestName) + "-" + base::sha256_hex(base::canonical(sweep)).substr(0, 8);
}

std::filesystem::path Context::folder() const {
  if (parts_.sweep.empty()) return parts_.out;
  return parts_.out / "combinations" / combination_name(parts_.sweep);
}

}  // namespace preimage::run
