// Reading the config.json of encoders and encoder-decoders: every wrong value is one line, and all
// of them are thrown at once.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "preimage/lm/encoder/encoder.hpp"
#include "preimage/lm/t5/t5.hpp"

namespace preimage::lm {

// One JSON object and what is wrong with it.
class ConfigFile {
 public:
  explicit ConfigFile(const std::filesystem::path& path);
  ConfigFile(const ConfigFile&) = delete;

  bool has(const std::string& key) const { return root_.find(key).has_value(); }
  const base::JsonNode& root() const { return root_; }
  // Within [1, high]; a key that is missing is an error unless `otherwise` is given.
  int64_t size(const std::string& key, int64_t high, int64_t otherwise = 0);
  double number(const std::string& key, double otherwise, double low, double high);
  bool boolean(const std::string& key, bool otherwise);
  std::string text(const std::string& key, const std::string& otherwise);
  // An id or a list of ids below `limit`.
  std::vector<int64_t> ids(const std::string& key, std::vector<int64_t> otherwise, int64_t limit);
  // The text must be `only` where the key is there.
  void require(const std::string& key, const std::string& only);
  void refuse(const std::string& what) { errors_.push_back(root_.place() + ": " + what); }
  // Throws ExitCode::bad_data when anything was refused.
  void done() const;

 private:
  template <class Reading>
  void attempt(const Reading& reading);

  base::Json json_;
  base::JsonNode root_;
  std::vector<std::string> errors_;
};

// "t5", "bert", "inversion", ...: config.json's model_type, or the family that its first
// architecture names, or "".
std::string model_type_of(const base::JsonNode& config);
std::string model_type_of_folder(const std::filesystem::path& folder);

// The sizes of a BERT encoder.
struct BertConfig {
  int64_t hidden_size = 0, intermediate_size = 0, layers = 0, heads = 0;
  int64_t vocab_size = 0, max_positions = 0, token_types = 0;
  double norm_eps = 0;
};
BertConfig read_bert_config(const std::filesystem::path& folder);

}  // namespace preimage::lm
