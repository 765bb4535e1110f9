// Qwen3, dense: the common block with a norm over the head of each query and key.
#include "families/families.hpp"

namespace preimage::lm {

void read_qwen3(ConfigReader& config, ModelConfig& out) {
  read_sizes(config, out);
  read_grouped_heads(config, out);
  out.qk_norm = true;
  out.qkv_bias = out.output_bias = config.boolean("attention_bias", false);
  read_optional_windows(config, out);
  read_rope(config, out);
  read_quantization(config, false, out);
}

}  // namespace preimage::lm
