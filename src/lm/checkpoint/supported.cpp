#include "preimage/lm/checkpoint/supported.hpp"

#include <array>

#include "encoder/encoder_config.hpp"
#include "families/families.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/t5/vec2text.hpp"

namespace preimage::lm {
namespace {

constexpr std::array<const char*, 3> kCommands = {"generate", "score", "embed"};

std::string architecture_of(const base::JsonNode& config) {
  const auto list = config.find("architectures");
  return list && list->json().is_array() && list->size() > 0 ? list->at(size_t{0}).string() : "";
}

}  // namespace

std::vector<std::string> supported_families(Use use) {
  auto names = supported_families();
  names.push_back("t5");
  if (use == Use::generate) names.push_back("vec2text (InversionModel, CorrectorEncoderModel)");
  if (use == Use::embed) {
    names.push_back("bert");
    names.push_back("modernbert");
  }
  return names;
}

void require_supported(const std::filesystem::path& folder, Use use) {
  const ConfigFile file(folder / "config.json");
  const std::string architecture = architecture_of(file.root()), type = model_type_of(file.root());
  const bool encoder = type == "bert" || type == "modernbert";
  const bool vec2text = type == "inversion" || is_vec2text_folder(folder);
  if (type == "t5" || (encoder && use == Use::embed)) return;
  if (vec2text && use == Use::generate) return;
  if (vec2text && use == Use::embed) return;  // embed has words of its own for it
  if (!encoder && !vec2text && is_decoder_config(file.root())) return;
  file.root().fail(base::str("model_type \"", type, "\", architecture \"", architecture,
                             "\" is not supported by ", kCommands[static_cast<size_t>(use)],
                             "; supported are ", base::join(supported_families(use), ", ")));
}

}  // namespace preimage::lm
