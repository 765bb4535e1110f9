#include "encoder/sentence_text.hpp"

#include <algorithm>
#include <array>

#include "encoder/encoder_config.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

namespace fs = std::filesystem;
using base::JsonNode;
using base::str;

constexpr int64_t kMaxTokens = 1 << 24;

// The file's name in the course of the years; the first that is there counts.
constexpr std::array<const char*, 7> kFiles = {
    "sentence_bert_config.json",       "sentence_roberta_config.json",
    "sentence_distilbert_config.json", "sentence_camembert_config.json",
    "sentence_albert_config.json",     "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json"};

// Arguments for the classes of transformers. What may be there changes nothing here.
void read_arguments(ConfigFile& file, const char* key, const std::vector<std::string_view>& idle) {
  const auto arguments = file.find(key);
  if (!arguments) return;
  file.attempt([&] {
    if (!arguments->json().is_object()) arguments->wrong_type("an object");
    for (const auto& [name, value] : arguments->json().items()) {
      const bool known = std::find(idle.begin(), idle.end(), name) != idle.end();
      if (!known && !value.is_null()) arguments->at(name).fail("is not supported");
    }
  });
}

// Texts must go through forward() as they are, not through a chat template.
void require_plain_texts(ConfigFile& file) {
  file.require("transformer_task", "feature-extraction");
  file.require("module_output_name", "token_embeddings");
  const auto modalities = file.find("modality_config");
  if (!modalities) return;
  file.attempt([&] {
    if (modalities->find("message"))
      modalities->fail("\"message\": texts that go through a chat template are not supported");
    const auto text = modalities->at("text");
    if (text.string_or("method", "forward") != "forward" ||
        text.string_or("method_output_name", "last_hidden_state") != "last_hidden_state")
      text.fail("expected method \"forward\" and method_output_name \"last_hidden_state\"");
  });
}

// 0: it names none. A tokenizer without a limit says so by an enormous number.
int64_t length_at(ConfigFile& file, const JsonNode& node) {
  int64_t length = 0;
  file.attempt([&] {
    const double value = node.number();
    if (!(value >= 1)) node.fail(str("found ", value, ", expected 1 or more"));
    if (value <= static_cast<double>(kMaxTokens)) length = whole_number(node, 1, kMaxTokens);
  });
  return length;
}

void read_transformer(const fs::path& path, SentenceText& out, std::vector<std::string>& notes) {
  ConfigFile file(path);
  if (const auto length = file.find("max_seq_length")) out.max_tokens = length_at(file, *length);
  out.lower_case = file.boolean("do_lower_case", false);
  require_plain_texts(file);
  for (const char* key : {"processor_kwargs", "tokenizer_args"}) {
    const auto arguments = file.find(key);
    if (arguments && arguments->json().is_object()) {
      if (const auto length = arguments->find("model_max_length"))
        out.max_tokens = length_at(file, *length);
    }
    read_arguments(file, key,
                   {"model_max_length", "padding_side", "use_fast", "trust_remote_code"});
  }
  for (const char* key : {"model_kwargs", "model_args"})
    read_arguments(file, key,
                   {"attn_implementation", "device_map", "dtype", "torch_dtype",
                    "trust_remote_code", "use_safetensors"});
  for (const char* key : {"config_kwargs", "config_args"})
    read_arguments(file, key, {"trust_remote_code", "use_cache"});
  file.require_absent("processing_kwargs");
  file.require_absent("tokenizer_name_or_path");
  file.require("backend", "torch");
  // Lengths and masks of queries and documents act where a caller names the task, which nothing
  // here does; padding is never computed.
  file.keys().without_effect(
      {"document_length", "query_expansion", "query_length", "unpad_inputs"});
  file.done();
  for (auto& note : file.notes()) notes.push_back(std::move(note));
}

}  // namespace

SentenceText read_sentence_text(const fs::path& folder, int64_t positions,
                                std::vector<std::string>& notes) {
  SentenceText out;
  for (const char* name : kFiles) {
    std::error_code ignored;  // a name that no file can have
    if (!fs::exists(folder / name, ignored)) continue;
    const auto json = base::read_json(folder / name);
    if (json.is_object() && json.empty()) continue;
    read_transformer(folder / name, out, notes);
    break;
  }
  const bool given = out.max_tokens > 0;
  if (fs::exists(folder / "tokenizer_config.json")) {
    ConfigFile file(folder / "tokenizer_config.json");
    if (const auto length = file.find("model_max_length"); length && !given)
      out.max_tokens = length_at(file, *length);
    const auto side = file.text("truncation_side", "right");
    if (side != "right" && side != "left")
      file.refuse("truncation_side \"" + side + "\": expected left or right");
    out.cut_left = side == "left";
    file.done();
  }
  // The model's own length, where no other is asked for.
  if (!given && positions > 0)
    out.max_tokens = out.max_tokens > 0 ? std::min(out.max_tokens, positions) : positions;
  return out;
}

}  // namespace preimage::lm
