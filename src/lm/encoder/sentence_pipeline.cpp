#include "preimage/lm/encoder/sentence_pipeline.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "encoder/encoder_config.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/checkpoint.hpp"

namespace preimage::lm {
namespace {

namespace fs = std::filesystem;
using base::JsonNode;
using base::str;

constexpr int64_t kMaxWidth = 1 << 20;
// "model_max_length" of a tokenizer without a limit is a huge float or integer.
constexpr double kUnlimited = 1e7;

// The last part of a Python class path: "sentence_transformers.models.Pooling" -> "Pooling".
std::string class_name(const std::string& path) {
  return path.substr(path.rfind('.') + 1);
}

// Both spellings of the pooling modes, in the order in which several are joined.
struct NamedMode {
  const char *flag, *name;
  PoolingMode mode;
};
constexpr NamedMode kModes[] = {
    {"pooling_mode_cls_token", "cls", PoolingMode::first},
    {"pooling_mode_max_tokens", "max", PoolingMode::max},
    {"pooling_mode_mean_tokens", "mean", PoolingMode::mean},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", PoolingMode::mean_sqrt},
    {"pooling_mode_weightedmean_tokens", "weightedmean", PoolingMode::weighted_mean},
    {"pooling_mode_lasttoken", "lasttoken", PoolingMode::last},
};

PoolingMode mode_of(const JsonNode& name) {
  for (const auto& known : kModes) {
    if (name.string() == known.name) return known.mode;
  }
  name.fail("found \"" + name.string() +
            "\", expected cls, max, mean, mean_sqrt_len_tokens, weightedmean or lasttoken");
}

float activated(const std::string& name, float x) {
  if (name == "Tanh") return std::tanh(x);
  if (name == "ReLU") return std::max(x, 0.0f);
  if (name == "Sigmoid") return 1 / (1 + std::exp(-x));
  if (name == "GELU") return 0.5f * x * (1 + std::erf(x * 0.70710678f));
  return x;
}

bool is_activation(const std::string& name) {
  for (const char* known : {"Identity", "Tanh", "ReLU", "Sigmoid", "GELU"}) {
    if (name == known) return true;
  }
  return false;
}

// A folder inside the checkpoint, by its plain name.
fs::path inside(const fs::path& folder, const JsonNode& path) {
  const std::string& name = path.string();
  if (name.find('/') != name.npos || name.starts_with(".") || name.find('\0') != name.npos)
    path.fail("found \"" + name + "\", expected the plain name of a folder");
  return name.empty() ? folder : folder / name;
}

// Modules of newer files may read and write other things than the sentence's vector.
void require_sentence(ConfigFile& file) {
  file.require("module_input_name", "sentence_embedding");
  file.require("module_output_name", "sentence_embedding");
}

}  // namespace

bool SentencePipeline::is_described_in(const fs::path& folder) {
  return fs::exists(folder / "modules.json");
}

SentencePipeline::SentencePipeline(const fs::path& folder, int64_t hidden_size)
    : hidden_size_(hidden_size) {
  const auto path = folder / "modules.json";
  const auto json = base::read_json(path);
  const JsonNode list(json, path.string());
  if (!json.is_array()) list.wrong_type("a list of modules");
  std::map<int64_t, std::pair<std::string, fs::path>> order;
  for (size_t i = 0; i < list.size(); ++i) {
    const auto module = list.at(i);
    const int64_t index = module.at("idx").integer(0, 1000);
    if (!order
             .emplace(index, std::pair(class_name(module.at("type").string()),
                                       inside(folder, module.at("path"))))
             .second)
      module.fail(str("found idx ", index, " again"));
  }
  size_t place = 0;
  for (const auto& [index, module] : order) {
    const auto& [type, where] = module;
    const auto expect = [&](const char* what) {
      if (type != what)
        list.fail(str("found ", type, " as module ", index, ", expected ", what,
                      "; supported are Transformer, Pooling, then Dense and Normalize"));
    };
    if (place == 0) {
      expect("Transformer");
      if (where != folder)
        list.fail("found a Transformer in a folder of its own, expected path \"\"");
      read_limits(folder);
    } else if (place == 1) {
      expect("Pooling");
      read_pooling(where);
    } else if (type == "Dense") {
      modules_.push_back(read_dense(where, width()));
    } else {
      expect("Normalize");
      modules_.push_back({.type = type, .folder = where, .in = width(), .out = width()});
    }
    ++place;
  }
  if (place < 2) list.fail(str("found ", place, " modules, expected at least two"));
}

void SentencePipeline::read_limits(const fs::path& folder) {
  if (fs::exists(folder / "sentence_bert_config.json")) {
    ConfigFile file(folder / "sentence_bert_config.json");
    if (file.has("max_seq_length")) max_tokens_ = file.size("max_seq_length", 1 << 24);
    lower_case_ = file.boolean("do_lower_case", false);
    file.done();
  }
  if (max_tokens_ > 0 || !fs::exists(folder / "tokenizer_config.json")) return;
  ConfigFile file(folder / "tokenizer_config.json");
  const double limit = file.number("model_max_length", 0, 0, 1e300);
  file.done();
  if (limit < kUnlimited) max_tokens_ = static_cast<int64_t>(limit);
}

void SentencePipeline::read_pooling(const fs::path& folder) {
  ConfigFile file(folder / "config.json");
  const char* key =
      file.has("embedding_dimension") ? "embedding_dimension" : "word_embedding_dimension";
  const int64_t width = file.size(key, kMaxWidth);
  if (width != hidden_size_)
    file.refuse(str(key, " ", width, " is not the transformer's width ", hidden_size_));
  if (const auto mode = file.root().find("pooling_mode")) {
    if (mode->json().is_string()) {
      pooling_.push_back(mode_of(*mode));
    } else {
      for (size_t i = 0; i < mode->size(); ++i) pooling_.push_back(mode_of(mode->at(i)));
    }
  } else {
    for (const auto& known : kModes) {
      if (file.boolean(known.flag, false)) pooling_.push_back(known.mode);
    }
    if (pooling_.empty()) pooling_.push_back(PoolingMode::mean);
  }
  file.done();
}

SentencePipeline::Module SentencePipeline::read_dense(const fs::path& folder, int64_t width) const {
  ConfigFile file(folder / "config.json");
  Module module{.type = "Dense", .folder = folder};
  module.in = file.size("in_features", kMaxWidth);
  module.out = file.size("out_features", kMaxWidth);
  module.bias = file.boolean("bias", true);
  module.activation =
      class_name(file.text("activation_function", "torch.nn.modules.activation.Tanh"));
  if (module.in != width)
    file.refuse(
        str("in_features ", module.in, " is not the width ", width, " of what comes before"));
  if (!is_activation(module.activation)) {
    file.refuse("activation_function \"" + module.activation +
                "\" is not supported, expected Identity, Tanh, ReLU, Sigmoid or GELU");
  }
  if (file.boolean("use_residual", false)) file.refuse("use_residual is not supported");
  require_sentence(file);
  file.done();
  return module;
}

int64_t SentencePipeline::width() const {
  return modules_.empty() ? hidden_size_ * static_cast<int64_t>(pooling_.size())
                          : modules_.back().out;
}

void SentencePipeline::load() {
  for (auto& module : modules_) {
    if (module.type != "Dense") continue;
    const Checkpoint checkpoint(module.folder);
    std::vector<std::pair<std::string, std::vector<int64_t>>> expected = {
        {"linear.weight", {module.out, module.in}}};
    if (module.bias) expected.push_back({"linear.bias", {module.out}});
    checkpoint.require(expected, {});
    const auto load = [&](size_t i) {
      return checkpoint.load(expected[i].first, expected[i].second, at::kFloat, at::kCPU);
    };
    module.weight = nn::Weight(load(0), module.bias ? load(1) : at::Tensor());
  }
}

at::Tensor SentencePipeline::operator()(const at::Tensor& hidden,
                                        const nn::Packing& packing) const {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> parts;
  for (const auto mode : pooling_) parts.push_back(pool(hidden, packing, mode));
  auto x = at::cat(parts, 1).cpu().contiguous();
  for (const auto& module : modules_) {
    if (module.type == "Dense") x = nn::linear(x, module.weight);
    float* data = x.data_ptr<float>();
    for (int64_t row = 0; row < x.size(0); ++row, data += x.size(1)) {
      double square = 0;
      for (int64_t i = 0; i < x.size(1); ++i) {
        if (module.type == "Dense") data[i] = activated(module.activation, data[i]);
        square += static_cast<double>(data[i]) * data[i];
      }
      if (module.type != "Normalize") continue;
      const double norm = std::max(std::sqrt(square), 1e-12);
      for (int64_t i = 0; i < x.size(1); ++i) data[i] = static_cast<float>(data[i] / norm);
    }
  }
  return x;
}

}  // namespace preimage::lm
