// The rotary embedding's keys of config.json.
#include <set>

#include "checkpoint/config_reader.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::JsonNode;
using base::str;

std::string rope_type(ConfigReader& rope) {
  const std::string older = rope.text("type", ""), newer = rope.text("rope_type", older);
  if (!older.empty() && older != newer) {
    rope.refuse(str("type \"", older, "\" and rope_type \"", newer, "\" disagree; keep one"));
  }
  return newer.empty() ? "default" : newer;
}

void read_yarn(ConfigReader& rope, RopeConfig& out) {
  rope.optional_number("beta_fast", out.beta_fast, 1e-6, 1e6);
  rope.optional_number("beta_slow", out.beta_slow, 1e-6, 1e6);
  if (out.beta_fast < out.beta_slow) {
    rope.refuse(str("beta_fast ", out.beta_fast, " is below beta_slow ", out.beta_slow));
  }
  rope.optional_number("attention_factor", out.attention_factor, 1e-6, 1e6);
  rope.optional_number("mscale", out.mscale, 0, 1e6);
  rope.optional_number("mscale_all_dim", out.mscale_all_dim, 0, 1e6);
  out.truncate = rope.boolean("truncate", true);
}

void read_scaling(ConfigReader& rope, ConfigReader& config, int64_t max_positions,
                  RopeConfig& out) {
  out.type = rope_type(rope);
  for (const auto& [key, value] : rope.node().json().items()) {
    if (value.is_object()) {
      rope.refuse("key \"" + key +
                  "\" holds an object: rope settings by layer type are not supported");
    }
  }
  double partial = 1;
  rope.optional_number("partial_rotary_factor", partial, 0, 1);
  if (partial != 1) rope.refuse("partial_rotary_factor must be 1");
  if (out.type == "default") return;
  static const std::set<std::string> known = {"linear", "llama3", "yarn"};
  if (!known.contains(out.type)) {
    rope.refuse("rope type \"" + out.type +
                "\" is not supported; supported are default, linear, llama3, yarn");
    return;
  }
  out.original_max_position_embeddings = max_positions;
  config.optional_integer("original_max_position_embeddings", out.original_max_position_embeddings,
                          1, kMaxPositions);
  rope.optional_integer("original_max_position_embeddings", out.original_max_position_embeddings, 1,
                        kMaxPositions);
  if (out.type == "yarn" && !rope.has("factor") && out.original_max_position_embeddings > 0) {
    out.factor = static_cast<double>(max_positions) /
                 static_cast<double>(out.original_max_position_embeddings);
  } else {
    rope.number("factor", out.factor, 1, 1e6);
  }
  if (out.type == "yarn") read_yarn(rope, out);
  if (out.type == "llama3") {
    rope.number("low_freq_factor", out.low_freq_factor, 1e-6, 1e6);
    rope.number("high_freq_factor", out.high_freq_factor, 1e-6, 1e6);
    if (out.high_freq_factor <= out.low_freq_factor) {
      rope.refuse(str("high_freq_factor ", out.high_freq_factor, " must be above low_freq_factor ",
                      out.low_freq_factor));
    }
  }
}

}  // namespace

void read_rope(ConfigReader& config, ModelConfig& model) {
  RopeConfig& out = model.rope;
  constexpr double kLowest = 1.0001, kHighest = 1e12;  // its logarithm divides
  config.optional_number("rope_theta", out.theta, kLowest, kHighest);
  const auto older = config.node().find("rope_scaling");
  const auto newer = config.node().find("rope_parameters");
  if (older && newer && older->json() != newer->json()) {
    config.refuse("rope_scaling and rope_parameters are both given and differ; keep one");
    return;
  }
  if (!older && !newer) return;
  const JsonNode& node = newer ? *newer : *older;
  if (!node.json().is_object()) {
    config.attempt([&] { node.wrong_type("an object or null"); });
    return;
  }
  ConfigReader rope(node.json(), node.place(), config.errors());
  const double top = out.theta;
  rope.optional_number("rope_theta", out.theta, kLowest, kHighest);
  if (config.has("rope_theta") && out.theta != top) {
    rope.refuse(str("rope_theta ", out.theta, " and the top level's ", top, " disagree; keep one"));
  }
  read_scaling(rope, config, model.max_position_embeddings, out);
}

}  // namespace preimage::lm
