// The rotary embedding's keys of config.json, as RotaryEmbeddingConfigMixin of transformers 5.24
// reads them.
#include <algorithm>
#include <set>

#include "checkpoint/config_reader.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::JsonNode;
using base::str;

constexpr double kLowestTheta = 1.0001, kHighestTheta = 1e12;  // its logarithm divides
constexpr double kLeastFactor = 1e-6, kMostFactor = 1e6;

std::string rope_type(ConfigReader& rope) {
  const std::string older = rope.text("type", ""), newer = rope.text("rope_type", older);
  if (!older.empty() && older != newer)
    rope.note(str("type \"", older, "\" and rope_type \"", newer, "\" differ; rope_type is used"));
  return newer.empty() ? "default" : newer;
}

// The object in force; nothing where none is given.
std::optional<JsonNode> rope_object(ConfigReader& config) {
  const auto older = config.find("rope_scaling"), newer = config.find("rope_parameters");
  const bool has_older = older && !(older->json().is_structured() && older->json().empty());
  if (has_older && newer) {
    base::Json there = newer->json(), here = older->json();
    if (there.is_object() && here.is_object()) {
      for (base::Json* object : {&there, &here}) {
        if (object->contains("type") && !object->contains("rope_type"))
          (*object)["rope_type"] = (*object)["type"];
        object->erase("type");
        object->erase("rope_theta");
      }
      if (there != here)
        config.note("rope_scaling and rope_parameters differ; rope_scaling is used");
    }
  }
  const auto& used = has_older ? older : newer;
  if (used && !used->json().is_object()) used->wrong_type("an object or null");
  return used;
}

// A factor is 1 or more in every published file; transformers computes with what is given.
void read_factor(ConfigReader& rope, RopeConfig& out) {
  rope.number("factor", out.factor, kLeastFactor, kMostFactor);
  if (out.factor < 1) rope.note(str("factor ", out.factor, " is below 1"));
}

// original_max_position_embeddings: the top level's, the object's, or max_position_embeddings.
void read_original_length(ConfigReader& rope, ConfigReader& config, int64_t max_positions,
                          RopeConfig& out) {
  auto& original = out.original_max_position_embeddings;
  original = max_positions;
  const char* key = "original_max_position_embeddings";
  if (rope.has(key)) rope.whole_number(key, original, 1, kMaxPositions);
  if (config.has(key)) config.whole_number(key, original, 1, kMaxPositions);
}

void read_yarn(ConfigReader& rope, int64_t max_positions, RopeConfig& out) {
  if (rope.has("factor") || out.original_max_position_embeddings <= 0) {
    read_factor(rope, out);
  } else {
    out.factor = static_cast<double>(max_positions) /
                 static_cast<double>(out.original_max_position_embeddings);
  }
  // 0 stands for the default, as Python's `or` has it.
  double fast = 0, slow = 0;
  rope.optional_number("beta_fast", fast, 0, 1e6);
  rope.optional_number("beta_slow", slow, 0, 1e6);
  if (fast > 0) out.beta_fast = fast;
  if (slow > 0) out.beta_slow = slow;
  if (out.beta_fast < out.beta_slow)
    rope.note(str("beta_fast ", out.beta_fast, " is below beta_slow ", out.beta_slow));
  rope.optional_number("attention_factor", out.attention_factor, 1e-6, 1e6);
  rope.optional_number("mscale", out.mscale, 0, 1e6);
  out.truncate = rope.boolean("truncate", true);
}

void read_llama3(ConfigReader& rope, RopeConfig& out) {
  read_factor(rope, out);
  rope.number("low_freq_factor", out.low_freq_factor, 1e-6, 1e6);
  rope.number("high_freq_factor", out.high_freq_factor, 1e-6, 1e6);
  if (out.high_freq_factor <= out.low_freq_factor) {
    rope.refuse(str("high_freq_factor ", out.high_freq_factor, " must be above low_freq_factor ",
                    out.low_freq_factor));
  }
}

// Types whose frequencies depend on how long the sequence is: they are computed for one length that
// the caller names, so that a token's numbers do not depend on its company.
bool context_is_given(ConfigReader& rope, const RopeConfig& out, const ModelConfig& model,
                      int64_t whole) {
  if (model.context > 0) return true;
  rope.refuse(str("rope type \"", out.type,
                  "\" makes its frequencies by the longest sequence, which must be named: give "
                  "--context N; up to ",
                  whole, " tokens they are those that ",
                  out.type == "dynamic" ? "the model was trained with" : "short_factor makes"));
  return false;
}

void read_dynamic(ConfigReader& rope, ModelConfig& model, RopeConfig& out) {
  read_factor(rope, out);
  out.trained = model.max_position_embeddings;
  if (!context_is_given(rope, out, model, out.trained)) return;
  out.longest = std::max(model.context, out.trained);
  model.max_position_embeddings = model.context;
}

void read_longrope(ConfigReader& rope, ModelConfig& model, RopeConfig& out) {
  const int64_t original = out.original_max_position_embeddings;
  if (rope.has("factor")) {
    read_factor(rope, out);
  } else if (original > 0) {
    out.factor = static_cast<double>(model.max_position_embeddings) / static_cast<double>(original);
  }
  rope.optional_number("attention_factor", out.attention_factor, 1e-6, 1e6);
  for (const char* key : {"short_factor", "long_factor"}) {
    rope.attempt([&] {
      rope.keys().asked(key);
      const auto list = rope.node().at(key);
      std::vector<double> factors;
      for (size_t i = 0; i < list.size(); ++i) {
        factors.push_back(list.at(i).number());
        if (!(factors.back() > 0 && factors.back() < 1e6))
          list.at(i).fail(str("found ", factors.back(), ", expected a number above 0"));
      }
      if (factors.size() != static_cast<size_t>(model.rotary_dim() / 2))
        list.fail(str("has ", factors.size(), " numbers, expected one for each of ",
                      model.rotary_dim() / 2, " frequencies"));
      if ((model.context > original) == (std::string_view(key) == "long_factor"))
        out.wavelengths = std::move(factors);
    });
  }
  if (context_is_given(rope, out, model, original)) model.max_position_embeddings = model.context;
}

void read_scaling(ConfigReader& rope, ConfigReader& config, ModelConfig& model) {
  RopeConfig& out = model.rope;
  out.type = rope_type(rope);
  for (const auto& [key, value] : rope.node().json().items()) {
    if (value.is_object()) {
      rope.keys().asked(key);
      rope.refuse("key \"" + key +
                  "\" holds an object: rope settings by layer type are not supported");
    }
  }
  double partial = 1;
  config.optional_number("partial_rotary_factor", partial, 0, 1);
  rope.optional_number("partial_rotary_factor", partial, 0, 1);
  if (partial != 1 && out.type == "default")
    rope.note("partial_rotary_factor does nothing in this family, whose whole heads are rotated");
  if (partial != 1 && out.type != "default") rope.refuse("partial_rotary_factor must be 1");
  const std::set<std::string> scaled = {"llama3", "yarn", "longrope"};
  if (scaled.contains(out.type))
    read_original_length(rope, config, model.max_position_embeddings, out);
  // DeepSeek's attention looks at it under every type but the default.
  if (out.type != "default") rope.optional_number("mscale_all_dim", out.mscale_all_dim, 0, 1e6);
  if (out.type == "linear") {
    read_factor(rope, out);
  } else if (out.type == "llama3") {
    read_llama3(rope, out);
  } else if (out.type == "yarn") {
    read_yarn(rope, model.max_position_embeddings, out);
  } else if (out.type == "dynamic") {
    read_dynamic(rope, model, out);
  } else if (out.type == "longrope") {
    read_longrope(rope, model, out);
  } else if (out.type != "default") {
    rope.refuse("rope type \"" + out.type +
                "\" is not supported; supported are default, linear, llama3, yarn, dynamic, "
                "longrope");
  }
}

}  // namespace

void read_rope(ConfigReader& config, ModelConfig& model) {
  RopeConfig& out = model.rope;
  config.optional_number("rope_theta", out.theta, kLowestTheta, kHighestTheta);
  config.keys().without_effect({"original_max_position_embeddings", "partial_rotary_factor"});
  config.attempt([&] {
    const auto object = rope_object(config);
    if (!object) return;
    ConfigReader rope(object->json(), object->place(), config.findings());
    const double top = out.theta;
    rope.optional_number("rope_theta", out.theta, kLowestTheta, kHighestTheta);
    if (config.holds("rope_theta") && out.theta != top)
      rope.note(str("rope_theta ", out.theta, " is used, not the top level's ", top));
    read_scaling(rope, config, model);
    rope.keys().without_effect({"original_max_position_embeddings"});
    rope.finish();
  });
}

}  // namespace preimage::lm
