#include "preimage/lm/encoder/sentence_pipeline.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "encoder/encoder_config.hpp"
#include "encoder/sentence_text.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/checkpoint.hpp"

namespace preimage::lm {
namespace {

namespace fs = std::filesystem;
using base::JsonNode;
using base::str;

constexpr int64_t kMaxWidth = 1 << 20;

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
  if (name == "SiLU") return x / (1 + std::exp(-x));
  if (name == "GELU") return 0.5f * x * (1 + std::erf(x * 0.70710678f));
  return x;
}

bool is_activation(const std::string& name) {
  for (const char* known : {"Identity", "Tanh", "ReLU", "Sigmoid", "SiLU", "GELU"}) {
    if (name == known) return true;
  }
  return false;
}

// A folder inside the checkpoint, by its plain name.
fs::path inside(const fs::path& folder, const JsonNode& path) {
  const std::string& name = path.string();
  if (name.find('/') != name.npos || name.starts_with(".") || name.find('\0') != name.npos)
    path.fail("found \"" + name + "\", expected the plain name of a folder");
  const auto module = name.empty() ? folder : folder / name;
  std::error_code error;
  if (!fs::exists(module, error) && error)
    path.fail("found \"" + name.substr(0, 40) + "...\": " + error.message());
  return module;
}

// Modules of newer files may read and write other things than the sentence's vector.
void require_sentence(ConfigFile& file) {
  file.require("module_input_name", "sentence_embedding");
  file.require("module_output_name", "sentence_embedding");
}

struct ModuleEntry {
  std::string type;
  fs::path folder;
};

// In the order of the file, which is that of sentence-transformers, whatever idx says.
std::vector<ModuleEntry> read_modules(const fs::path& folder) {
  const auto path = folder / "modules.json";
  const auto json = base::read_json(path);
  const JsonNode list(json, path.string());
  if (!json.is_array()) list.wrong_type("a list of modules");
  std::vector<ModuleEntry> out;
  std::vector<std::string> names;
  for (size_t i = 0; i < list.size(); ++i) {
    const auto module = list.at(i);
    auto name = module.string_or("name", std::to_string(i));
    if (std::find(names.begin(), names.end(), name) != names.end())
      module.fail("found the name \"" + name + "\" again");
    names.push_back(std::move(name));
    out.push_back({class_name(module.at("type").string()), inside(folder, module.at("path"))});
  }
  if (out.size() < 2) list.fail(str("found ", out.size(), " modules, expected at least two"));
  return out;
}

}  // namespace

fs::path transformer_folder(const fs::path& folder) {
  if (!SentencePipeline::is_described_in(folder)) return folder;
  const auto first = read_modules(folder).front();
  return first.type == "Transformer" ? first.folder : folder;
}

bool SentencePipeline::is_described_in(const fs::path& folder) {
  return fs::exists(folder / "modules.json");
}

SentencePipeline::SentencePipeline(const fs::path& folder, int64_t hidden_size, int64_t positions)
    : hidden_size_(hidden_size) {
  const auto modules = read_modules(folder);
  for (size_t i = 0; i < modules.size(); ++i) {
    const auto& [type, where] = modules[i];
    const bool fits = i == 0   ? type == "Transformer"
                      : i == 1 ? type == "Pooling"
                               : type == "Dense" || type == "Normalize" || type == "Dropout";
    if (!fits) {
      throw base::data_error(str((folder / "modules.json").string(), ": found ", type,
                                 " as module ", i, "; supported are Transformer, Pooling, then ",
                                 "Dense, Normalize and Dropout"));
    }
    if (i == 0) text_ = read_sentence_text(where, positions, notes_);
    if (i == 1) read_pooling(where);
    if (i > 1) add_module(type, where);
  }
  read_settings(folder);
}

// What follows the pooling. Dropout does nothing in a frozen model.
void SentencePipeline::add_module(const std::string& type, const fs::path& folder) {
  if (type == "Dense") modules_.push_back(read_dense(folder, full_width()));
  if (type != "Normalize") return;
  std::error_code ignored;  // a name that no file can have
  if (fs::exists(folder / "config.json", ignored) &&
      !fs::exists(folder / "modules.json", ignored)) {
    ConfigFile file(folder / "config.json");
    require_sentence(file);
    file.done();
    for (auto& note : file.notes()) notes_.push_back(std::move(note));
  }
  modules_.push_back({.type = type, .folder = folder, .in = full_width(), .out = full_width()});
}

// config_sentence_transformers.json.
void SentencePipeline::read_settings(const fs::path& folder) {
  text_.prompts = {{"query", ""}, {"document", ""}};
  const auto path = folder / "config_sentence_transformers.json";
  std::error_code ignored;  // a name that no file can have
  if (!fs::exists(path, ignored)) return;
  ConfigFile file(path);
  file.require("model_type", "SentenceTransformer");
  if (const auto prompts = file.find("prompts")) {
    file.attempt([&] {
      if (!prompts->json().is_object()) prompts->wrong_type("an object of name to text");
      for (const auto& [name, value] : prompts->json().items())
        text_.prompts[name] = value.is_null() ? "" : prompts->at(name).string();
    });
  }
  if (const auto name = file.find("default_prompt_name"))
    file.attempt([&] { text_.default_prompt = prompt(*name); });
  if (file.has("truncate_dim")) truncate_dim_ = file.size("truncate_dim", kMaxWidth);
  // How vectors are compared, which versions wrote the file and which ones it asks for.
  file.keys().without_effect({"__version__", "requirements", "similarity_fn_name"});
  file.done();
  for (auto& note : file.notes()) notes_.push_back(std::move(note));
}

const std::string& SentencePipeline::prompt(const JsonNode& name) const {
  const auto it = text_.prompts.find(name.string());
  if (it != text_.prompts.end()) return it->second;
  std::vector<std::string> names;
  for (const auto& [known, text] : text_.prompts) names.push_back(known);
  name.fail("found \"" + name.string() + "\", the prompts are " + base::join(names, ", "));
}

void SentencePipeline::read_pooling(const fs::path& folder) {
  ConfigFile file(folder / "config.json");
  const char* key =
      file.has("embedding_dimension") ? "embedding_dimension" : "word_embedding_dimension";
  const int64_t width = file.size(key, kMaxWidth);
  if (width != hidden_size_)
    file.refuse(str(key, " ", width, " is not the transformer's width ", hidden_size_));
  file.keys().without_effect({"word_embedding_dimension"});  // beside its new name
  for (const auto& known : kModes) {
    if (file.boolean(known.flag, false)) pooling_.push_back(known.mode);
  }
  if (const auto mode = file.find("pooling_mode")) {
    pooling_.clear();
    file.attempt([&] {
      if (mode->json().is_string()) {
        pooling_.push_back(mode_of(*mode));
      } else {
        for (size_t i = 0; i < mode->size(); ++i) pooling_.push_back(mode_of(mode->at(i)));
      }
    });
  }
  if (pooling_.empty()) pooling_.push_back(PoolingMode::mean);
  text_.include_prompt = file.boolean("include_prompt", true);
  file.done();
  for (auto& note : file.notes()) notes_.push_back(std::move(note));
}

SentencePipeline::Module SentencePipeline::read_dense(const fs::path& folder, int64_t width) {
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
                "\" is not supported, expected Identity, Tanh, ReLU, Sigmoid, SiLU or GELU");
  }
  if (file.boolean("use_residual", false)) file.refuse("use_residual is not supported");
  require_sentence(file);
  file.done();
  for (auto& note : file.notes()) notes_.push_back(std::move(note));
  return module;
}

int64_t SentencePipeline::width() const {
  return truncate_dim_ > 0 ? std::min(truncate_dim_, full_width()) : full_width();
}

int64_t SentencePipeline::full_width() const {
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

at::Tensor SentencePipeline::operator()(const at::Tensor& hidden, const nn::Packing& packing,
                                        const std::vector<int64_t>& skip) const {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> parts;
  for (const auto mode : pooling_) parts.push_back(pool(hidden, packing, mode, skip));
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
  return x.narrow(1, 0, width()).contiguous();
}

}  // namespace preimage::lm
