#include "t5/vec2text_config.hpp"

#include <map>
#include <set>

#include "encoder/encoder_config.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/checkpoint.hpp"

namespace preimage::lm {
namespace {

namespace fs = std::filesystem;
using base::str;
using Shapes = std::map<std::string, std::vector<int64_t>>;

std::vector<int64_t> matrix(const fs::path& folder, const Shapes& shapes, const std::string& name) {
  const auto found = shapes.find(name);
  if (found == shapes.end() || found->second.size() != 2 || found->second[0] < 1 ||
      found->second[1] < 1)
    throw base::data_error(str(folder.string(), ": no matrix \"", name,
                               "\", from which the sizes of vec2text's T5 follow"));
  return found->second;
}

int64_t blocks_of(const Shapes& shapes, const std::string& stack) {
  int64_t count = 0;
  while (
      shapes.contains(str(kVec2TextPrefix, stack, ".block.", count, ".layer.0.layer_norm.weight")))
    ++count;
  return count;
}

// vec2text trains t5-base and its kin: relu means T5 v1.0, whose decoder states are scaled.
T5Config t5_of_shapes(const fs::path& folder, const Shapes& shapes) {
  const std::string first = str(kVec2TextPrefix, "encoder.block.0.layer.");
  T5Config out;
  for (const char* name : {"shared.weight", "encoder.embed_tokens.weight"}) {
    if (out.vocab_size > 0 || !shapes.contains(str(kVec2TextPrefix, name))) continue;
    const auto table = matrix(folder, shapes, str(kVec2TextPrefix, name));
    out.vocab_size = table[0];
    out.hidden_size = table[1];
  }
  if (out.vocab_size == 0) matrix(folder, shapes, str(kVec2TextPrefix, "shared.weight"));
  const auto bias =
      matrix(folder, shapes, first + "0.SelfAttention.relative_attention_bias.weight");
  out.buckets = bias[0];
  out.heads = bias[1];
  out.head_dim = matrix(folder, shapes, first + "0.SelfAttention.q.weight")[0] / out.heads;
  out.intermediate_size = matrix(folder, shapes, first + "1.DenseReluDense.wo.weight")[1];
  out.gated = shapes.contains(first + "1.DenseReluDense.wi_0.weight");
  out.scaled_output = !out.gated;
  out.layers = blocks_of(shapes, "encoder");
  out.decoder_layers = blocks_of(shapes, "decoder");
  if (out.head_dim == 0 || out.layers == 0 || out.decoder_layers == 0 || out.buckets % 4 != 0)
    throw base::data_error(folder.string() + ": the shapes of encoder_decoder.* are not a T5's");
  return out;
}

// The folder that model_name_or_path means, where it is one on this machine.
fs::path base_folder(const fs::path& folder, const std::string& name) {
  for (const auto& path : {folder / name, fs::path(name)}) {
    std::error_code ignored;
    if (!name.empty() && fs::exists(path / "config.json", ignored) &&
        !fs::equivalent(path, folder, ignored))
      return path;
  }
  return {};
}

}  // namespace

std::vector<std::string> transform_names(const Vec2TextConfig& config) {
  if (!config.corrector) return {"embedding_transform"};
  if (config.one_transform) return std::vector<std::string>(3, "embedding_transform");
  return {"embedding_transform_1", "embedding_transform_2", "embedding_transform_3"};
}

TensorList vec2text_tensors(const Vec2TextConfig& c) {
  const int64_t out = c.repeat_tokens * c.t5.hidden_size;
  TensorList list;
  const auto names = transform_names(c);
  for (const auto& name : std::set<std::string>(names.begin(), names.end())) {
    list.emplace_back(name + ".0.weight", std::vector{c.bottleneck, c.embedding_size});
    list.emplace_back(name + ".0.bias", std::vector{c.bottleneck});
    list.emplace_back(name + ".3.weight", std::vector{out, c.bottleneck});
    list.emplace_back(name + ".3.bias", std::vector{out});
  }
  if (c.corrector) {
    list.emplace_back("layernorm.weight", std::vector{c.t5.hidden_size});
    list.emplace_back("layernorm.bias", std::vector{c.t5.hidden_size});
  }
  return list;
}

bool is_vec2text_folder(const fs::path& folder) {
  const auto path = folder / "config.json";
  if (!fs::exists(path)) return false;
  const ConfigFile file(path);
  const auto list = file.root().find("architectures");
  const std::string name = list && list->size() > 0 ? list->at(size_t{0}).string() : "";
  return name == "InversionModel" || name == "CorrectorEncoderModel";
}

Vec2TextConfig read_vec2text_config(const fs::path& folder) {
  ConfigFile file(folder / "config.json");
  const Checkpoint checkpoint(folder);
  Shapes shapes;
  for (const auto& tensor : checkpoint.tensors()) shapes[tensor.name] = tensor.shape;

  Vec2TextConfig out;
  const auto base = base_folder(folder, file.text("model_name_or_path", ""));
  out.t5 = base.empty() ? t5_of_shapes(folder, shapes) : read_t5_config(base);
  out.corrector = file.root().at("architectures").at(size_t{0}).string() == "CorrectorEncoderModel";
  out.one_transform = !shapes.contains("embedding_transform_1.0.weight");
  const auto name = transform_names(out).front();
  const auto in = matrix(folder, shapes, name + ".0.weight");
  out.bottleneck = in[0];
  out.embedding_size = in[1];
  out.repeat_tokens = file.size("num_repeat_tokens", 1 << 12, 16);
  const int64_t rows = matrix(folder, shapes, name + ".3.weight")[0];
  if (rows != out.repeat_tokens * out.t5.hidden_size) {
    file.refuse(str("num_repeat_tokens ", out.repeat_tokens, " times the width ",
                    out.t5.hidden_size, " of the T5 is not ", rows, ", the rows of ", name, ".3"));
  }
  out.max_tokens = file.size("max_seq_length", 1 << 20, 128);
  out.embedder = file.text("embedder_model_name", "");
  out.ignore_hypothesis = file.boolean("corrector_ignore_hypothesis_embedding", false);
  if (file.boolean("use_lora", false)) file.refuse("use_lora is true: merge the adapter first");
  file.done();
  return out;
}

}  // namespace preimage::lm
