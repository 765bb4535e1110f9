// The makers of the arms: arm.cpp lists them under their names.
#pragma once

#include <memory>

#include "arm.hpp"

namespace preimage::lipo {

std::unique_ptr<Arm> make_latent_arm();
std::unique_ptr<Arm> make_random_latent_arm();
std::unique_ptr<Arm> make_plan_sign_arm();
std::unique_ptr<Arm> make_hyperband_arm();
std::unique_ptr<Arm> make_raw_embedding_arm();
std::unique_ptr<Arm> make_cowboys_arm();
std::unique_ptr<Arm> make_capo_arm();

}  // namespace preimage::lipo
