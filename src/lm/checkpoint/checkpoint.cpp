#include "preimage/lm/checkpoint/checkpoint.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::lm {
namespace {

using base::Json;
using base::str;
namespace fs = std::filesystem;

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr uint64_t kMaxIndexBytes = 256 << 20;
constexpr size_t kListed = 10;

std::string shape_of(at::IntArrayRef shape) {
  return base::shape_text(shape.vec());
}

// "3 missing (a, b, c)", the first ten by name; "" for none.
std::string counted(const std::vector<std::string>& names, const std::string& what) {
  if (names.empty()) return "";
  std::vector<std::string> first;
  for (size_t i = 0; i < std::min(kListed, names.size()); ++i) {
    first.push_back(base::escape_text(names[i]));
  }
  return str(names.size(), " ", what, " (", base::join(first, ", "),
             names.size() > kListed ? ", ...)" : ")");
}

void throw_differences(const std::string& head, const std::vector<std::string>& groups,
                       const std::string& advice) {
  std::vector<std::string> found;
  for (const auto& group : groups) {
    if (!group.empty()) found.push_back(group);
  }
  if (!found.empty()) throw base::data_error(head + base::join(found, "; ") + advice);
}

// The likeliest reason why a file's tensors are not those that config.json describes.
std::string advice_on(const std::vector<std::string>& missing,
                      const std::vector<std::string>& extra) {
  const auto any = [](const std::vector<std::string>& names, std::string_view part) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return name.find(part) != name.npos; });
  };
  if (any(extra, "lora_"))
    return "; these are an adapter's: give it by --adapter and its base model by --model";
  for (const char* part : {".qweight", ".qzeros", "weight_packed", "weight_scale", ".absmax",
                           ".SCB", "_scale_inv", "activation_scale", "input_scale", "_blocks"}) {
    if (any(extra, part))
      return "; these are quantized weights in a form that quantization_config does not describe";
  }
  if (missing == std::vector<std::string>{"lm_head.weight"})
    return "; config.json says tie_word_embeddings false (or leaves it out), so the head must be "
           "stored; is this a model without its head?";
  return "; is config.json that of these weights?";
}

// ---- finding the files
// -----------------------------------------------------------------------------

// What else lies in a folder without weights: a pickle, a stub, shards whose index is missing.
[[noreturn]] void fail_without_weights(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored)) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::string found;
  for (const auto& path : paths) {
    std::string head(64, '\0');
    std::ifstream file(path, std::ios::binary);
    head.resize(static_cast<size_t>(
        file.read(head.data(), static_cast<std::streamsize>(head.size())).gcount()));
    const std::string format = base::foreign_weight_format(head);
    if (!format.empty()) {
      found = str("; ", path.filename().string(), " is ", format);
      break;
    }
    if (path.extension() == ".safetensors") {
      found = str("; it holds ", path.filename().string(), " but no index that names it");
    }
  }
  throw base::data_error(
      str(folder.string(), ": neither ", kSingleName, " nor ", kIndexName, " is here", found));
}

struct Index {
  fs::path path;
  std::map<std::string, std::string> shard_of;  // tensor -> file name
  int64_t total_size = -1;                      // -1: not given
};

void require_plain_name(const base::JsonNode& value) {
  const std::string& name = value.string();
  if (name.empty() || name.front() == '.' || name.find('/') != name.npos ||
      name.find("..") != name.npos || name.find('\0') != name.npos) {
    value.fail("found \"" + base::escape_text(name) +
               "\", expected the plain name of a file next to the index");
  }
}

Index read_index(const fs::path& path) {
  const Json json = base::read_json(path, {.max_bytes = kMaxIndexBytes});
  const base::JsonNode root(json, path.string());
  const auto map = root.at("weight_map");
  if (!map.json().is_object()) map.wrong_type("an object of tensor name to file name");
  Index index{.path = path};
  for (const auto& [name, file] : map.json().items()) {
    const auto value = map.at(name);
    require_plain_name(value);
    index.shard_of[name] = value.string();
  }
  if (index.shard_of.empty()) map.fail("names no tensor");
  if (const auto metadata = root.find("metadata")) {
    // Some writers leave a float here; the number is only compared for a note.
    if (const auto size = metadata->find("total_size"); size && size->json().is_number_integer()) {
      index.total_size = size->integer();
    }
  }
  return index;
}

// Each tensor in exactly the shard that the index states.
void check_index(const Index& index, const std::vector<SafetensorsFile>& files) {
  std::vector<std::string> missing, unlisted, elsewhere;
  std::set<std::string> held;
  for (const auto& file : files) {
    const std::string shard = file.path().filename().string();
    for (const auto& tensor : file.tensors()) {
      const auto it = index.shard_of.find(tensor.name);
      if (it == index.shard_of.end()) {
        unlisted.push_back(tensor.name + " in " + shard);
      } else if (it->second != shard) {
        elsewhere.push_back(tensor.name + " in " + shard + ", not " + it->second);
      } else {
        held.insert(tensor.name);
      }
    }
  }
  for (const auto& [name, shard] : index.shard_of) {
    if (!held.contains(name)) missing.push_back(name + " in " + shard);
  }
  throw_differences(index.path.string() + ": index and shards disagree: ",
                    {counted(missing, "named but not there"), counted(unlisted, "not in the index"),
                     counted(elsewhere, "in another shard")},
                    "; are all shards of one download?");
}

// ---- values
// ----------------------------------------------------------------------------------------

bool is_weight_type(at::ScalarType type) {
  return type == at::kHalf || type == at::kBFloat16 || type == at::kFloat || type == at::kDouble;
}

// One pass without temporaries: the extremes carry a NaN or an Inf that is anywhere.
bool all_finite(const at::Tensor& values) {
  if (values.numel() == 0) return true;
  const auto [low, high] = at::aminmax(values.flatten());
  return std::isfinite(low.item<double>()) && std::isfinite(high.item<double>());
}

[[noreturn]] void fail_non_finite(const std::string& place, const at::Tensor& stored,
                                  const at::Tensor& converted) {
  const bool from_file = !all_finite(stored);
  const at::Tensor bad =
      at::isfinite(from_file ? stored : converted).logical_not().flatten().nonzero();
  throw base::data_error(
      str(place, ": ", bad.numel(), " of ", stored.numel(), " values are ",
          from_file ? "NaN or Inf"
                    : base::str("beyond the range of ", c10::toString(converted.scalar_type())),
          ", the first at flat index ", bad[0].item<int64_t>(),
          from_file ? "; the file is damaged or its training diverged" : "; use a wider dtype"));
}

}  // namespace

Checkpoint::Checkpoint(const fs::path& folder) : folder_(folder) {
  if (!fs::is_directory(folder)) {
    throw base::data_error(folder.string() + ": no such folder; a checkpoint is a folder with " +
                           "config.json and safetensors files");
  }
  const bool single = fs::exists(folder / kSingleName), sharded = fs::exists(folder / kIndexName);
  if (!single && !sharded) fail_without_weights(folder);
  Index index;
  std::set<std::string> names;
  if (sharded) {
    index = read_index(folder / kIndexName);
    for (const auto& [tensor, file] : index.shard_of) names.insert(file);
  }
  if (single && sharded && names != std::set<std::string>{kSingleName}) {
    throw base::data_error(str((folder / kIndexName).string(), ": names ", *names.begin(), ", but ",
                               kSingleName, " is here too; remove the one that is out of date"));
  }
  if (single) names = {kSingleName};
  for (const auto& name : names) files_.emplace_back(folder / name);
  if (!sharded) return;
  check_index(index, files_);
  uint64_t total = 0;
  for (const auto& tensor : tensors()) total += tensor.end - tensor.begin;
  if (index.total_size >= 0 && static_cast<uint64_t>(index.total_size) != total) {
    notes_.push_back(str(index.path.string(), ": metadata.total_size is ", index.total_size,
                         ", the tensors have ", total, " bytes"));
  }
}

std::vector<TensorInfo> Checkpoint::tensors() const {
  std::vector<TensorInfo> all;
  for (const auto& file : files_) {
    all.insert(all.end(), file.tensors().begin(), file.tensors().end());
  }
  return all;
}

bool Checkpoint::has(const std::string& name) const {
  return std::any_of(files_.begin(), files_.end(),
                     [&](const auto& file) { return file.find(name) != nullptr; });
}

at::Tensor Checkpoint::load(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype,
                            at::Device device) const {
  for (const auto& file : files_) {
    const TensorInfo* info = file.find(name);
    if (info == nullptr) continue;
    const std::string place = str(file.path().string(), ": tensor \"", name, "\"");
    if (at::IntArrayRef(info->shape) != shape) {
      throw base::data_error(str(place, ": shape ", base::shape_text(info->shape), ", expected ",
                                 shape_of(shape), "; is config.json that of these weights?"));
    }
    const at::Tensor stored = file.read(*info, device);
    const bool convertible = is_weight_type(stored.scalar_type()) && is_weight_type(dtype);
    if (!convertible && stored.scalar_type() != dtype) {
      throw base::data_error(str(place, ": stored as ", info->dtype, ", expected F32, BF16 or F16",
                                 "; quantized weights are not supported"));
    }
    const at::Tensor out = stored.to(dtype);
    if (convertible && !all_finite(out)) fail_non_finite(place, stored, out);
    return out;
  }
  throw base::data_error(str(folder_.string(), ": no tensor \"", name, "\""));
}

void Checkpoint::require(const std::vector<std::pair<std::string, std::vector<int64_t>>>& expected,
                         const std::vector<std::string>& permitted) const {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& tensor : tensors()) shapes[tensor.name] = tensor.shape;
  std::vector<std::string> missing, extra, misshaped;
  std::set<std::string> allowed(permitted.begin(), permitted.end());
  for (const auto& [name, shape] : expected) {
    allowed.insert(name);
    const auto it = shapes.find(name);
    if (it == shapes.end()) {
      missing.push_back(name);
    } else if (it->second != shape) {
      misshaped.push_back(
          str(name, " ", base::shape_text(it->second), ", expected ", base::shape_text(shape)));
    }
  }
  for (const auto& [name, shape] : shapes) {
    if (!allowed.contains(name)) extra.push_back(name);
  }
  throw_differences(str(folder_.string(), ": of ", expected.size(), " tensors expected and ",
                        shapes.size(), " found, "),
                    {counted(missing, "missing"), counted(extra, "extra"),
                     counted(misshaped, "of another shape")},
                    advice_on(missing, extra));
}

}  // namespace preimage::lm
