// Qwen2, Qwen2.5 and DeepSeek-R1-Distill-Qwen: the common block with biases on queries, keys and
// values, which no key of config.json mentions.
#include "families/families.hpp"

namespace preimage::lm {

void read_qwen2(ConfigReader& config, ModelConfig& out) {
  read_sizes(config, out);
  read_grouped_heads(config, out);
  out.qkv_bias = true;
  read_optional_windows(config, out);
  read_rope(config, out);
  read_quantization(config, false, out);
}

}  // namespace preimage::lm
