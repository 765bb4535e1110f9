// Reading the config.json of encoders and encoder-decoders: every wrong value is one line, and all
// of them are thrown at once.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/config_reader.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/lm/encoder/encoder.hpp"
#include "preimage/lm/t5/t5.hpp"

namespace preimage::lm {

// One JSON object and what is wrong with it. A key that is not there has the value of `defaults`.
class ConfigFile {
 public:
  explicit ConfigFile(const std::filesystem::path& path,
                      const base::Json& defaults = base::Json::object());
  ConfigFile(const ConfigFile&) = delete;

  bool has(const std::string& key) const { return reader_.has(key); }
  std::optional<base::JsonNode> find(const std::string& key) const { return reader_.find(key); }
  const base::JsonNode& root() const { return reader_.node(); }
  // Within [1, high]; a key that is missing is an error unless `otherwise` is given.
  int64_t size(const std::string& key, int64_t high, int64_t otherwise = 0);
  double number(const std::string& key, double otherwise, double low, double high);
  bool boolean(const std::string& key, bool otherwise) { return reader_.boolean(key, otherwise); }
  std::string text(const std::string& key, const std::string& otherwise) {
    return reader_.text(key, otherwise);
  }
  // The text must be `only` where the key is there.
  void require(const std::string& key, const std::string& only) { reader_.require_text(key, only); }
  // The key holds null, or an empty list or object, or is not there.
  void require_absent(const std::string& key) { reader_.require_absent(key); }
  void refuse(const std::string& what) { reader_.refuse(what); }
  void attempt(const std::function<void()>& reading) { reader_.attempt(reading); }
  const KeyLedger& keys() const { return reader_.keys(); }
  ConfigReader& reader() { return reader_; }
  // Throws ExitCode::bad_data when anything was refused.
  void done() const;
  // What was read otherwise than a user may think; the keys that nobody asked for are the last.
  std::vector<std::string> notes();

 private:
  base::Json json_;
  Findings found_;
  ConfigReader reader_;
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
  std::vector<std::string> notes;
};
BertConfig read_bert_config(const std::filesystem::path& folder);

// Throws unless config.json names `family`.
void require_family(ConfigFile& file, const std::string& family);
void refuse_quantization(ConfigFile& file);

// Far above every published encoder; a value beyond is a damaged or hostile file.
inline constexpr int64_t kMaxEncoderWidth = 1 << 20, kMaxEncoderPositions = 1 << 24;

}  // namespace preimage::lm
