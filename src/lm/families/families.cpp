#include "families/families.hpp"

#include <algorithm>

#include "families/common_block.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {

const std::vector<Family>& decoder_families() {
  static const std::vector<Family> families = {
      {"qwen2", "Qwen2ForCausalLM", read_qwen2, common_tensors, common_layers},
      {"qwen3", "Qwen3ForCausalLM", read_qwen3, common_tensors, common_layers},
      {"llama", "LlamaForCausalLM", read_llama, common_tensors, common_layers},
      {"gpt_oss", "GptOssForCausalLM", read_gpt_oss, gpt_oss_tensors, gpt_oss_layers},
      {"deepseek_v3", "DeepseekV3ForCausalLM", read_deepseek_v3, deepseek_v3_tensors,
       deepseek_v3_layers},
      {"kimi_k2", "DeepseekV3ForCausalLM", read_deepseek_v3, deepseek_v3_tensors,
       deepseek_v3_layers},
  };
  return families;
}

const Family& family_of(const ModelConfig& config) {
  const auto& all = decoder_families();
  const auto it = std::find_if(all.begin(), all.end(), [&](const Family& family) {
    return family.model_type == config.family;
  });
  base::check(it != all.end(), "the family \"" + config.family + "\" is one of the list");
  return *it;
}

std::vector<std::string> supported_families() {
  std::vector<std::string> names;
  for (const auto& family : decoder_families())
    names.push_back(base::str(family.model_type, " (", family.architecture, ")"));
  return names;
}

}  // namespace preimage::lm
