// generation_config.json of a checkpoint, read here and nowhere else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "preimage/base/json_node.hpp"

namespace preimage::text {

struct GenerationConfig {
  bool here = false;         // the folder has the file: then it alone says what ends a generation
  std::vector<int64_t> eos;  // as written: an id that the model does not have is never said
  std::optional<int64_t> bos, pad, decoder_start;
  // What the file asks of a generation beyond the ids: "repetition_penalty 1.05". A line of
  // `generate` decides these by itself.
  std::vector<std::string> settings;
};

// Nothing where the folder has no such file. ExitCode::bad_data: file, key, what was found.
GenerationConfig read_generation_config(const std::filesystem::path& folder);

// Token ids under `key`, of config.json too: a number, a list, or nothing where it is absent or
// null. Negative ids stand for none; 7.0 is 7.
std::vector<int64_t> read_token_ids(const base::JsonNode& config, const std::string& key);
std::optional<int64_t> read_token_id(const base::JsonNode& config, const std::string& key);

// Whether a key of generation_config.json is known: used, one of the `settings`, or without effect
// here.
bool knows_generation_key(std::string_view key);

}  // namespace preimage::text
