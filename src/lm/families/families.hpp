// The decoder families, each in a file of its own; families.cpp holds the one list of them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/config_reader.hpp"
#include "checkpoint/weight_source.hpp"
#include "decoder.hpp"
#include "preimage/lm/model.hpp"

namespace preimage::lm {

struct Family {
  std::string_view model_type, architecture;
  // Reads and checks the family's keys of config.json.
  void (*read)(ConfigReader& config, ModelConfig& out);
  // Its tensors with plain weights, by the published names.
  TensorList (*tensors)(const ModelConfig& config);
  // The layers of the model, between the embedding and the last norm.
  std::vector<DecoderLayer> (*layers)(const ModelConfig& config, const WeightSource& source);
};

const std::vector<Family>& decoder_families();
// Of a config that was read.
const Family& family_of(const ModelConfig& config);

// Whether config.json names one of them.
bool is_decoder_config(const base::JsonNode& config);

void read_qwen2(ConfigReader& config, ModelConfig& out);
void read_qwen3(ConfigReader& config, ModelConfig& out);
void read_llama(ConfigReader& config, ModelConfig& out);

void read_gpt_oss(ConfigReader& config, ModelConfig& out);
TensorList gpt_oss_tensors(const ModelConfig& config);
std::vector<DecoderLayer> gpt_oss_layers(const ModelConfig& config, const WeightSource& source);
// Whether config.json is that of gpt-oss's own code, which names no family.
bool is_original_gpt_oss(const base::JsonNode& config);
// Where that code stores a tensor: under another name, and three projections in one matrix.
struct StoredPlace {
  std::string name;
  int64_t first_row = 0, all_rows = 0;  // all_rows 0: the tensor is the whole of it
};
StoredPlace original_gpt_oss_place(const ModelConfig& config, const std::string& name);

void read_deepseek_v3(ConfigReader& config, ModelConfig& out);
TensorList deepseek_v3_tensors(const ModelConfig& config);
std::vector<DecoderLayer> deepseek_v3_layers(const ModelConfig& config, const WeightSource& source);

}  // namespace preimage::lm
