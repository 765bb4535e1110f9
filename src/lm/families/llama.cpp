// Llama 2 and 3.x and deepseek-coder: the common block; biases only where config.json says so.
#include "families/families.hpp"

namespace preimage::lm {

void read_llama(ConfigReader& config, ModelConfig& out) {
  read_sizes(config, out);
  read_grouped_heads(config, out);
  out.qkv_bias = out.output_bias = config.boolean("attention_bias", false);
  out.mlp_bias = config.boolean("mlp_bias", false);
  read_rope(config, out);
  read_quantization(config, false, out);
}

}  // namespace preimage::lm
