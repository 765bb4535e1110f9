// What generate, score and embed share: a checkpoint whose sizes and tokenizer are known before its
// weights, and the fields that name tokens.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "preimage/lines/conversation.hpp"
#include "preimage/lines/jsonl.hpp"
#include "preimage/lines/line_tool.hpp"
#include "preimage/lm/checkpoint/supported.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "seq2seq.hpp"

namespace preimage::tools {

// The line tools' words.
using lines::Conversations, lines::Top, lines::top_json;
using lines::integer_or, lines::integers, lines::number_or;
using lines::LineTool, lines::Outputs, lines::Results, lines::PlacedLine, lines::Places;
using lines::shortest_number, lines::shortest_numbers;

struct EngineOptions {
  std::filesystem::path model;                // checkpoint folder
  std::string dtype = "float32";              // float32 | bfloat16
  std::string weights = "decoded";            // lm::WeightFormat
  std::filesystem::path adapter;              // LoRA adapter to be merged; empty: none
  std::filesystem::path corrector, embedder;  // of a vec2text inversion; empty: none
  int64_t batch = 64;                         // sequences in flight
  bool add_special = false;  // put around a text what the checkpoint says (bos, ...)
  int64_t context = 0;       // the longest sequence, for rope types that depend on it; 0: not given
};

// Where a line says that a completion ends: the checkpoint's end tokens among the ids, unless it
// ignores them.
struct Stops {
  std::vector<std::string> strings;
  std::vector<int64_t> ids;
};

class Engine {
 public:
  // `use`: the command, for what it can read and for its errors.
  Engine(EngineOptions options, lm::Use use) : options_(std::move(options)), use_(use) {}

  // Reads config.json and, where there is one, the tokenizer; checks that they fit each other.
  void prepare();
  void load(c10::Device device);
  lm::LoadOptions load_options(c10::Device device) const;

  const EngineOptions& options() const { return options_; }
  // Where the model and its tokenizer lie: --model, or the folder of its pipeline's first module.
  const std::filesystem::path& folder() const { return folder_; }
  // What the user is told: a line each.
  std::vector<std::string> notes() const;
  const lm::ModelConfig& config() const { return config_; }
  const lm::Model& model() const { return *model_; }
  // An encoder-decoder in place of model(), where the folder holds one.
  const Seq2Seq& seq2seq() const { return seq2seq_; }
  bool has_tokenizer() const { return tokenizer_.has_value(); }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }

  // What the user should know of the checkpoint's files, one line each.
  std::vector<std::string> warnings() const;
  // The same for what its generation_config.json asks for.
  std::vector<std::string> generation_warnings() const;

  // The ids of a text, none of which the model lacks; else `place` fails.
  std::vector<int64_t> known(const base::JsonNode& place, std::vector<int64_t> ids) const;
  // Token ids of a line from its field `text` or its field `ids`, of which at most one is given;
  // nothing when neither is. Ids lie in the vocabulary. Thread-safe.
  std::optional<std::vector<int64_t>> tokens(const base::JsonNode& line, const std::string& text,
                                             const std::string& ids, bool add_special) const;
  // The tokens of `prompt`, `prompt_ids` or `messages`; around a text that an encoder reads stand
  // the special tokens that it was trained with. `raw` is the line as it was written. Thread-safe.
  std::optional<std::vector<int64_t>> prompt_tokens(const base::JsonNode& line,
                                                    std::string_view raw) const;
  // Fields `stop`, `stop_ids` and `ignore_eos`. Thread-safe.
  Stops stops(const base::JsonNode& line) const;
  // A stored soft prompt [K, d] from "F.h5:dataset[row]" or from a list of such references, one
  // behind the other; undefined without the field. Thread-safe.
  at::Tensor soft_prompt(const base::JsonNode& line) const;

 private:
  at::Tensor stored_vectors(const base::JsonNode& reference) const;

  EngineOptions options_;
  lm::Use use_;
  std::filesystem::path folder_;
  lm::ModelConfig config_;
  Seq2Seq seq2seq_;
  std::optional<text::Tokenizer> tokenizer_;
  std::shared_ptr<const lm::Model> model_;
  mutable Conversations conversations_;
  mutable std::mutex store_mutex_;  // the HDF5 library is not made for threads
};

}  // namespace preimage::tools
