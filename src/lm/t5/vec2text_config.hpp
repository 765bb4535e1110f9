// Names of vec2text's own tensors.
#pragma once

#include <string>
#include <vector>

#include "preimage/lm/t5/vec2text.hpp"

namespace preimage::lm {

inline constexpr const char* kVec2TextPrefix = "encoder_decoder.";

// Of the transforms, in the order in which Vec2Text keeps them; a name may come several times.
std::vector<std::string> transform_names(const Vec2TextConfig& config);

// Transforms and norm; not the T5.
TensorList vec2text_tensors(const Vec2TextConfig& config);

}  // namespace preimage::lm
