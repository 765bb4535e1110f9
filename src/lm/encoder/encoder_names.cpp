#include "encoder/encoder_names.hpp"

#include <algorithm>
#include <set>

#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::lm {
namespace {

using base::str;

constexpr size_t kListed = 5;

bool starts_with_any(const std::string& name, const std::vector<std::string>& starts) {
  return std::any_of(starts.begin(), starts.end(),
                     [&](const std::string& start) { return name.starts_with(start); });
}

// Heads of pretraining and of tasks, which no one expects in a vector.
const std::vector<std::string>& known_heads() {
  static const std::vector<std::string> heads = {
      "pooler.", "cls.", "classifier.", "decoder.", "head.", "qa_outputs.", "drop.", "dropout."};
  return heads;
}

}  // namespace

std::string EncoderNames::stored(const std::string& name) const {
  std::vector<std::string> forms = {name};
  for (const auto& [newer, older] : {std::pair{"LayerNorm.weight", "LayerNorm.gamma"},
                                     std::pair{"LayerNorm.bias", "LayerNorm.beta"}}) {
    if (!name.ends_with(newer)) continue;
    forms.push_back(name.substr(0, name.size() - std::string_view(newer).size()) + older);
  }
  for (const auto& form : forms) {
    if (checkpoint_.has(prefix_ + form)) return prefix_ + form;
    if (checkpoint_.has(form)) return form;
  }
  const bool prefixed = std::any_of(
      checkpoint_.files().begin(), checkpoint_.files().end(), [&](const SafetensorsFile& file) {
        return std::any_of(file.tensors().begin(), file.tensors().end(),
                           [&](const auto& tensor) { return tensor.name.starts_with(prefix_); });
      });
  return prefixed ? prefix_ + name : name;
}

std::vector<std::string> EncoderNames::require(const TensorList& expected,
                                               const std::vector<std::string>& parts) const {
  TensorList wanted;
  std::set<std::string> names;
  for (const auto& [name, shape] : expected) {
    wanted.emplace_back(stored(name), shape);
    names.insert(wanted.back().first);
  }
  std::vector<std::string> permitted, unknown;
  for (const auto& tensor : checkpoint_.tensors()) {
    if (names.contains(tensor.name)) continue;
    const auto plain =
        tensor.name.starts_with(prefix_) ? tensor.name.substr(prefix_.size()) : tensor.name;
    const bool book_keeping = plain == "embeddings.position_ids";
    if (starts_with_any(plain, parts) && !book_keeping) continue;
    permitted.push_back(tensor.name);
    if (!book_keeping && !starts_with_any(plain, known_heads()))
      unknown.push_back(base::escape_text(tensor.name));
  }
  checkpoint_.require(wanted, permitted);
  if (unknown.empty()) return {};
  const size_t count = unknown.size();
  unknown.resize(std::min(count, kListed));
  return {str(checkpoint_.folder().string(), ": ", count,
              " tensors are no part of the encoder and ", "not used (", base::join(unknown, ", "),
              count > kListed ? ", ...)" : ")")};
}

TensorSource EncoderNames::source(const LoadOptions& options) const {
  return [this, options](const std::string& name, at::IntArrayRef shape) {
    return checkpoint_.load(stored(name), shape, options.dtype, options.device);
  };
}

}  // namespace preimage::lm
