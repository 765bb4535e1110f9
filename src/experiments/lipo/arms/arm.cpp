#include "arm.hpp"

#include <functional>
#include <utility>

#include "../report/rows.hpp"
#include "arms.hpp"
#include "preimage/base/error.hpp"

namespace preimage::lipo {
namespace {

struct Maker {
  const char* name;
  std::unique_ptr<Arm> (*make)();
};

// The controls first.
constexpr Maker kMakers[] = {
    {"hyperband", make_hyperband_arm}, {"random_latent", make_random_latent_arm},
    {"plan_sign", make_plan_sign_arm}, {"raw_embedding", make_raw_embedding_arm},
    {"cowboys", make_cowboys_arm},     {"capo", make_capo_arm},
    {"latent", make_latent_arm}};

}  // namespace

ArmStep::Numbers no_numbers() {
  const double no = not_a_number;
  return {no, no, no, no, no, no, no, no, -1, 0, 0, 0, no, no, no};
}

const std::vector<std::string>& arm_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const auto& maker : kMakers) out.emplace_back(maker.name);
    return out;
  }();
  return names;
}

std::unique_ptr<Arm> make_arm(const std::string& name) {
  for (const auto& maker : kMakers) {
    if (name == maker.name) return maker.make();
  }
  throw base::config_error("there is no arm \"" + name + "\"");
}

}  // namespace preimage::lipo
