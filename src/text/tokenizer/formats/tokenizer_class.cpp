// What transformers 5 makes of a tokenizer.json by the class that the folder names: some classes
// keep only its vocabulary, merges, added tokens and post-processor, and bring their own stages,
// settings and special tokens.
#include <algorithm>
#include <map>

#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "tokenizer/formats/tokenizer_sources.hpp"

namespace preimage::text {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr std::string_view kBert[] = {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer",
                                      "MPNetTokenizer", "MobileBertTokenizer"};
constexpr std::string_view kGpt2[] = {"BartTokenizer", "GPT2Tokenizer", "RobertaTokenizer"};
// Families whose folders are read as tokenizer.json says, whatever class they name
// (transformers 5.24, TOKENIZER_MAPPING_NAMES).
constexpr std::string_view kAsWritten[] = {"arctic",
                                           "ernie4_5",
                                           "ernie4_5_moe",
                                           "flex_olmo",
                                           "glm",
                                           "glm4",
                                           "glm4_moe",
                                           "glm4_moe_lite",
                                           "gpt_bigcode",
                                           "granite",
                                           "granitemoe",
                                           "granitemoehybrid",
                                           "granitemoeshared",
                                           "internlm2",
                                           "internlm3",
                                           "jamba",
                                           "kimi_linear",
                                           "mimo_v2_flash",
                                           "minicpm3",
                                           "minimax_m2",
                                           "ministral",
                                           "ministral3",
                                           "mistral",
                                           "mistral3",
                                           "mixtral",
                                           "modernbert",
                                           "modernbert-decoder",
                                           "nemotron",
                                           "olmo2",
                                           "olmo3",
                                           "olmo_hybrid",
                                           "persimmon",
                                           "phi3",
                                           "phimoe",
                                           "stablelm",
                                           "umt5",
                                           "xlm-roberta-xl"};
// Those whose class counts where the folder names none.
const std::map<std::string_view, std::string_view>& registered() {
  static const std::map<std::string_view, std::string_view> classes = {
      {"bert", "BertTokenizer"},
      {"distilbert", "BertTokenizer"},
      {"mpnet", "MPNetTokenizer"},
      {"roberta", "RobertaTokenizer"},
      {"gpt2", "GPT2Tokenizer"},
      {"starcoder2", "GPT2Tokenizer"},
      {"gpt_neox", "GPTNeoXTokenizer"},
      {"qwen2", "Qwen2Tokenizer"},
      {"qwen2_moe", "Qwen2Tokenizer"},
      {"qwen3", "Qwen2Tokenizer"},
      {"qwen3_moe", "Qwen2Tokenizer"},
      {"gemma", "GemmaTokenizer"},
      {"gemma2", "GemmaTokenizer"},
      {"gemma3_text", "GemmaTokenizer"},
      {"t5", "T5Tokenizer"},
      {"mt5", "T5Tokenizer"}};
  return classes;
}

template <size_t size>
bool holds(const std::string_view (&names)[size], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool has_type(const Json& stage, std::string_view type) {
  if (stage.is_array())
    return std::any_of(stage.begin(), stage.end(),
                       [&](const Json& s) { return has_type(s, type); });
  if (!stage.is_object()) return false;
  return stage.value("type", "") == type || has_type(stage.value("pretokenizers", Json()), type) ||
         has_type(stage.value("decoders", Json()), type);
}

bool is_byte_level(std::string_view name) {
  return holds(kGpt2, name) || name == "GPTNeoXTokenizer" || name == "Qwen2Tokenizer";
}

std::string without_fast(std::string name) {
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  return name;
}

// What the class brings, as it stands in a tokenizer.json.
struct Stages {
  Json normalizer, pre_tokenizer, decoder;
  Json model;  // settings
};

Json byte_level(const Json& prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json bpe_settings(bool by_bytes) {
  return {{"unk_token", nullptr},          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr}, {"fuse_unk", by_bytes},
          {"byte_fallback", by_bytes},     {"ignore_merges", false}};
}

Stages byte_level_stages(const std::string& name, const TokenizerConfig& config) {
  static constexpr const char* kQwen2 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const bool prefix = config.node().boolean_or("add_prefix_space", false);
  Stages out;
  out.decoder = byte_level(true, true);
  out.model = bpe_settings(false);
  if (!holds(kGpt2, name)) out.normalizer = {{"type", "NFC"}};
  out.pre_tokenizer = byte_level(prefix, true);
  if (name == "Qwen2Tokenizer") {
    const Json split = {{"type", "Split"},
                        {"pattern", {{"Regex", kQwen2}}},
                        {"behavior", "Isolated"},
                        {"invert", false}};
    out.pre_tokenizer = {{"type", "Sequence"},
                         {"pretokenizers", {split, byte_level(prefix, false)}}};
  }
  return out;
}

Json spaces_of_pieces() {
  return Json::array({{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                      {{"type", "ByteFallback"}},
                      {{"type", "Fuse"}}});
}

Json metaspace(const char* scheme, bool split) {
  return {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}, {"split", split}};
}

Stages llama_stages(const TokenizerConfig& config) {
  Stages out;
  const bool prefix = config.node().boolean_or("add_prefix_space", true);
  const auto legacy = config.node().find("legacy");
  const bool everywhere = legacy && legacy->boolean();
  out.pre_tokenizer = metaspace(!prefix ? "never" : everywhere ? "always" : "first", false);
  auto decoders = spaces_of_pieces();
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  out.decoder = {{"type", "Sequence"}, {"decoders", decoders}};
  out.model = bpe_settings(true);
  return out;
}

Stages gemma_stages(const TokenizerConfig& config) {
  Stages out;
  out.normalizer = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  out.pre_tokenizer = {{"type", "Split"},
                       {"pattern", {{"String", " "}}},
                       {"behavior", "MergedWithPrevious"},
                       {"invert", false}};
  out.decoder = {{"type", "Sequence"}, {"decoders", spaces_of_pieces()}};
  out.model = bpe_settings(true);
  const auto* unknown = config.find("unk_token");
  out.model["unk_token"] = unknown == nullptr ? "<unk>" : unknown->content;
  return out;
}

// The table of SentencePiece's normalizer stays the file's.
Json charsmap_of(const Json& normalizer) {
  if (!normalizer.is_object()) return nullptr;
  if (normalizer.value("type", "") == "Precompiled") return normalizer;
  for (const auto& one : normalizer.value("normalizers", Json::array())) {
    if (one.value("type", "") == "Precompiled") return one;
  }
  return nullptr;
}

Stages t5_stages(const Json& document) {
  Stages out;
  out.normalizer = charsmap_of(document.value("normalizer", Json()));
  out.pre_tokenizer = {
      {"type", "Sequence"},
      {"pretokenizers", {{{"type", "WhitespaceSplit"}}, metaspace("always", true)}}};
  out.decoder = metaspace("always", true);
  out.model = {{"unk_id", 2}, {"byte_fallback", false}};
  return out;
}

// Without what has no effect, or is what the library takes where it is left out.
Json effective(const Json& value) {
  if (value.is_array()) {
    Json out = Json::array();
    for (const auto& one : value) out.push_back(effective(one));
    return out;
  }
  if (!value.is_object()) return value;
  static const Json defaults = {{"trim_offsets", Json()},
                                {"use_regex", true},
                                {"invert", false},
                                {"split", true},
                                {"prepend_scheme", "always"}};
  Json out = Json::object();
  for (const auto& [key, one] : value.items()) {
    if (one.is_null() || key == "trim_offsets" || key == "str_rep") continue;
    if (defaults.contains(key) && defaults[key] == one) continue;
    out[key] = effective(one);
  }
  if (out.value("type", "") == "Metaspace") out.erase("add_prefix_space");
  return out;
}

bool same_setting(const Json& one, const Json& other) {
  const auto plain = [](const Json& value) {
    return value.is_null() || value == "" || value == false ? Json() : effective(value);
  };
  return plain(one) == plain(other);
}

void set(Json& object, const char* key, const Json& value, std::vector<std::string>& changed) {
  if (same_setting(object.value(key, Json()), value)) return;
  object[key] = value;
  changed.push_back(key);
}

void set_stages(const Stages& stages, Json& document, std::vector<std::string>& changed) {
  set(document, "normalizer", stages.normalizer, changed);
  set(document, "pre_tokenizer", stages.pre_tokenizer, changed);
  // Whatever else it says, ByteLevel decodes alike.
  if (!has_type(stages.decoder, "ByteLevel") ||
      document.value("decoder", Json()).value("type", "") != "ByteLevel")
    set(document, "decoder", stages.decoder, changed);
  for (const auto& [key, value] : stages.model.items())
    set(document["model"], key.c_str(), value, changed);
}

Stages bert_stages(const TokenizerConfig& config) {
  const auto node = config.node();
  const auto accents = node.find("strip_accents");
  Stages out;
  out.normalizer = {{"type", "BertNormalizer"},
                    {"clean_text", true},
                    {"handle_chinese_chars", node.boolean_or("tokenize_chinese_chars", true)},
                    {"strip_accents", accents ? Json(accents->boolean()) : Json()},
                    {"lowercase", node.boolean_or("do_lower_case", true)}};
  out.pre_tokenizer = {{"type", "BertPreTokenizer"}};
  out.decoder = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  const auto* unknown = config.find("unk_token");
  out.model = {{"unk_token", unknown == nullptr ? "[UNK]" : unknown->content},
               {"continuing_subword_prefix", "##"},
               {"max_input_chars_per_word", 100}};
  return out;
}

using Defaults = std::vector<std::pair<std::string, std::string>>;

// The standard tokens of a class, in their order.
Defaults default_tokens(const std::string& name) {
  constexpr const char* kEnd = "<|endoftext|>";
  if (name == "LlamaTokenizer")
    return {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
  if (name == "T5Tokenizer")
    return {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
  if (name == "GemmaTokenizer")
    return {{"bos_token", "<bos>"},
            {"eos_token", "<eos>"},
            {"unk_token", "<unk>"},
            {"pad_token", "<pad>"},
            {"mask_token", "<mask>"}};
  if (name == "GPT2Tokenizer")
    return {{"bos_token", kEnd}, {"eos_token", kEnd}, {"unk_token", kEnd}};
  if (name == "GPTNeoXTokenizer")
    return {{"bos_token", kEnd},
            {"eos_token", kEnd},
            {"unk_token", kEnd},
            {"pad_token", "<|padding|>"}};
  if (name == "MPNetTokenizer" || name == "RobertaTokenizer" || name == "BartTokenizer")
    return {{"bos_token", "<s>"},
            {"eos_token", "</s>"},
            {"unk_token", name == "MPNetTokenizer" ? "[UNK]" : "<unk>"},
            {"sep_token", "</s>"},
            {"pad_token", "<pad>"},
            {"cls_token", "<s>"},
            {"mask_token", "<mask>"}};
  if (holds(kBert, name))
    return {{"unk_token", "[UNK]"},
            {"sep_token", "[SEP]"},
            {"pad_token", "[PAD]"},
            {"cls_token", "[CLS]"},
            {"mask_token", "[MASK]"}};
  if (name == "Qwen2Tokenizer")
    return {{"eos_token", kEnd}, {"unk_token", kEnd}, {"pad_token", kEnd}};
  return {};
}

}  // namespace

std::string class_of(const fs::path& folder, const TokenizerConfig& config, const Json& document) {
  std::string type, name = config.tokenizer_class;
  const auto path = folder / "config.json";
  if (fs::exists(path)) {
    const Json json = base::read_json(path, {.allow_non_finite = true});
    if (json.is_object()) {
      const base::JsonNode node(json, path.string());
      type = node.string_or("model_type", "");
      if (name.empty()) name = node.string_or("tokenizer_class", "");
    }
  }
  name = without_fast(name);
  const auto own = registered().find(type);
  if (holds(kAsWritten, type)) return "";
  // Llama 3 and its kin name a class that was never theirs.
  if (name == "LlamaTokenizer" && type != "qwen2" &&
      (has_type(document.value("pre_tokenizer", Json()), "ByteLevel") ||
       has_type(document.value("decoder", Json()), "ByteLevel")))
    return "";
  if (own != registered().end() && (name.empty() || type == "qwen2"))
    return std::string(own->second);
  return name;
}

void apply_class(const std::string& name, const TokenizerConfig& config, Json& document,
                 std::vector<std::string>& warnings) {
  if (!document.is_object() || !document.value("model", Json()).is_object()) return;
  const auto model = document["model"].value("type", "");
  std::vector<std::string> changed;
  if (model == "WordPiece" && holds(kBert, name)) {
    set_stages(bert_stages(config), document, changed);
  } else if (model == "BPE" && name == "LlamaTokenizer") {
    set_stages(llama_stages(config), document, changed);
  } else if (model == "BPE" && name == "GemmaTokenizer") {
    set_stages(gemma_stages(config), document, changed);
  } else if (model == "BPE" && is_byte_level(name)) {
    set_stages(byte_level_stages(name, config), document, changed);
  } else if (model == "Unigram" && name == "T5Tokenizer") {
    set_stages(t5_stages(document), document, changed);
  } else {
    return;
  }
  // An added_tokens_decoder stands for the file's own list.
  if (config.lists_tokens) document["added_tokens"] = Json::array();
  if (!changed.empty()) {
    warnings.push_back(config.place + ": its tokenizer_class " + name + " sets " +
                       base::join(changed, ", ") +
                       " of tokenizer.json in its own way, as in transformers");
  }
}

void add_class_tokens(const std::string& name, TokenizerConfig& config) {
  auto defaults = default_tokens(name);
  std::vector<std::pair<std::string, AddedToken>> named;
  // In the order of the standard names, which is that of new ids.
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                          "cls_token", "mask_token"}) {
    const auto own = std::find_if(defaults.begin(), defaults.end(),
                                  [&](const auto& one) { return one.first == key; });
    if (const auto* known = config.find(key); known != nullptr) {
      named.emplace_back(key, *known);
    } else if (own != defaults.end() && !config.json.contains(key)) {
      AddedToken token;
      token.content = own->second;
      token.special = true;
      token.normalized = false;
      named.emplace_back(key, token);
    }
  }
  for (const auto& one : config.named) {
    const auto same = [&](const auto& other) { return other.first == one.first; };
    if (std::none_of(named.begin(), named.end(), same)) named.push_back(one);
  }
  config.named = std::move(named);
  if (name != "T5Tokenizer") return;
  const auto given = config.node().find("extra_ids");
  const int64_t sentinels = given ? given->integer(0, 1 << 16) : 100;
  for (int64_t i = 0; i < sentinels; ++i) {
    AddedToken token;
    token.content = base::str("<extra_id_", i, ">");
    token.special = true;
    token.normalized = false;
    const auto same = [&](const auto& other) { return other.content == token.content; };
    if (std::none_of(config.extra.begin(), config.extra.end(), same)) config.extra.push_back(token);
  }
}

void set_class_ends(const std::string& name, const TokenizerConfig& config,
                    Tokenizer::Parts& parts) {
  const bool t5 = name == "T5Tokenizer";
  if (!t5 && !holds(kBert, name) && name != "RobertaTokenizer" && name != "BartTokenizer") return;
  Json single = Json::array(), tokens = Json::object();
  std::vector<int64_t> ends;
  const auto put = [&](const char* key) {
    const auto* token = config.find(key);
    const auto id = token == nullptr ? std::nullopt : parts.added->id_of(token->content);
    if (!id) return;
    single.push_back({{"SpecialToken", {{"id", token->content}, {"type_id", 0}}}});
    tokens[token->content] = {{"id", token->content},
                              {"ids", Json::array({*id})},
                              {"tokens", Json::array({token->content})}};
    ends.push_back(*id);
  };
  if (!t5) put("cls_token");
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  put(t5 ? "eos_token" : "sep_token");
  std::vector<int64_t> before;
  if (parts.post_processor) parts.post_processor->add_special(before);
  if (before == ends) return;
  const Json document = {{"type", "TemplateProcessing"},
                         {"single", single},
                         {"pair", single},
                         {"special_tokens", tokens}};
  parts.post_processor = make_post_processor({document, config.place});
  parts.warnings.push_back(config.place + ": its tokenizer_class " + name +
                           " sets post_processor of tokenizer.json in its own way, as in "
                           "transformers");
}

}  // namespace preimage::text
