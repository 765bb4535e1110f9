#include "tokenizer/formats/tokenizer_config.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "preimage/text/chat_template.hpp"
#include "tokenizer/formats/tokenizer_sources.hpp"

namespace preimage::text {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::JsonNode;

constexpr const char* kStandard[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                     "pad_token", "cls_token", "mask_token"};
constexpr double kNoLimit = 1e9;  // transformers writes 10^30 where there is none

// One of the files, in its order and as a tree that names places.
struct File {
  explicit File(const fs::path& path) : place(path.string()) {
    if (!fs::exists(path)) return;
    const auto text = base::read_file(path, kTokenizerConfigBytes);
    json = base::parse_json(text, place,
                            {.max_bytes = kTokenizerConfigBytes, .allow_non_finite = true});
    if (!json.is_object()) node().wrong_type("an object");
    const auto ordered = parse_ordered(text, place);
    for (const auto& [key, value] : ordered.items()) keys.push_back(key);
  }
  JsonNode node() const { return {json, place}; }

  std::string place;
  Json json = Json::object();
  std::vector<std::string> keys;
};

bool is_token(const Json& value) {
  return value.is_string() || (value.is_object() && value.contains("content"));
}

bool is_standard(const std::string& name) {
  return std::find(std::begin(kStandard), std::end(kStandard), name) != std::end(kStandard);
}

// A text, or an object with flags; `special` says what an object is where it does not say it.
AddedToken token_of(const JsonNode& node) {
  if (!node.json().is_string()) return read_added_token(node);
  AddedToken token;
  token.content = node.string();
  token.special = true;
  token.normalized = false;
  return token;
}

// Of special_tokens_map.json: special, whatever it says itself.
AddedToken mapped_token(const JsonNode& node) {
  AddedToken token = token_of(node);
  token.special = true;
  if (node.json().is_object() && !node.json().contains("normalized")) token.normalized = false;
  return token;
}

// What the two files say about special tokens, before it is put in order.
class SpecialReader {
 public:
  explicit SpecialReader(TokenizerConfig& out) : out_(out) {}

  void read(const File& config, const File* map) {
    std::map<std::string, AddedToken> standard;
    for (const auto& key : config.keys) {
      const auto node = config.node().find(key);
      if (!node) continue;
      if (is_standard(key)) standard[key] = token_of(*node);
      if (is_named(key) && node->json().is_object()) set(automatic_, key, token_of(*node));
      if (is_named(key) && node->json().is_string()) set(explicit_, key, token_of(*node));
    }
    read_lists(config);
    read_specific(config);
    if (map != nullptr) read_map(*map, standard);
    for (const char* name : kStandard) {
      if (standard.contains(name)) out_.named.emplace_back(name, standard[name]);
    }
    for (const auto& [name, token] : automatic_) set(out_.named, name, token);
    for (const auto& [name, token] : explicit_) set(out_.named, name, token);
  }

 private:
  using Named = std::vector<std::pair<std::string, AddedToken>>;

  // A key of the checkpoint's own: any other text under "..._token".
  static bool is_named(const std::string& key) {
    return key.ends_with("_token") && !is_standard(key) &&
           tokenizer_key(key) != TokenizerKey::used &&
           tokenizer_key(key) != TokenizerKey::without_effect;
  }

  static void set(Named& named, const std::string& name, AddedToken token) {
    for (auto& [known, value] : named) {
      if (known != name) continue;
      value = std::move(token);
      return;
    }
    named.emplace_back(name, std::move(token));
  }

  // extra_special_tokens: a list, or an object of named ones; additional_special_tokens is its
  // older name and counts where the other is empty.
  void read_lists(const File& config) {
    const auto extra = config.node().find("extra_special_tokens");
    listed_ = config.json.contains("extra_special_tokens");
    if (extra && extra->json().is_object()) {
      listed_ = false;
      for (const auto& [name, value] : extra->json().items())
        set(explicit_, name, token_of(extra->at(name)));
    } else if (extra && extra->size() > 0) {
      append(*extra);
      return;
    }
    const auto older = config.node().find("additional_special_tokens");
    if (!older) return;
    listed_ = true;
    append(*older);
  }

  // What a checkpoint that was loaded and saved again holds beside the names themselves.
  void read_specific(const File& config) {
    const auto specific = config.node().find("model_specific_special_tokens");
    if (!specific || !explicit_.empty()) return;
    if (!specific->json().is_object()) specific->wrong_type("an object from name to token");
    for (const auto& [name, value] : specific->json().items())
      set(explicit_, name, token_of(specific->at(name)));
  }

  void append(const JsonNode& list) {
    for (size_t i = 0; i < list.size(); ++i) out_.extra.push_back(token_of(list.at(i)));
  }

  void read_map(const File& map, std::map<std::string, AddedToken>& standard) {
    for (const auto& key : map.keys) {
      const auto node = map.node().find(key);
      if (!node) continue;
      if (is_standard(key)) {
        standard[key] = mapped_token(*node);
      } else if (key == "extra_special_tokens" && node->json().is_object()) {
        for (const auto& [name, value] : node->json().items())
          set(explicit_, name, mapped_token(node->at(name)));
      } else if (key == "extra_special_tokens" ||
                 (key == "additional_special_tokens" && !listed_)) {
        for (size_t i = 0; i < node->size(); ++i) add_missing(mapped_token(node->at(i)));
      } else if (key.ends_with("_token") && is_token(node->json())) {
        set(automatic_, key, mapped_token(*node));
      }
    }
  }

  void add_missing(AddedToken token) {
    for (const auto& known : out_.extra) {
      if (known.content == token.content) return;
    }
    out_.extra.push_back(std::move(token));
  }

  TokenizerConfig& out_;
  Named automatic_, explicit_;
  bool listed_ = false;  // extra_special_tokens is there, be it empty
};

uint32_t id_of_key(const JsonNode& list, const std::string& key) {
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size() || id > kMaxTokenId)
    list.fail("\"" + key + "\" is no token id");
  return id;
}

void read_listed(const JsonNode& list, TokenizerConfig& out) {
  if (!list.json().is_object()) list.wrong_type("an object from id to token");
  for (const auto& [key, value] : list.json().items())
    out.listed.push_back({id_of_key(list, key), read_added_token(list.at(key))});
}

// {content: id}; a token is special where a name or a list above says so.
void read_added_file(const File& file, TokenizerConfig& out) {
  std::set<std::string> special;
  for (const auto& [name, token] : out.named) special.insert(token.content);
  for (const auto& token : out.extra) special.insert(token.content);
  for (const auto& [content, value] : file.json.items()) {
    ListedToken one;
    one.id = static_cast<uint32_t>(file.node().at(content).integer(0, kMaxTokenId));
    one.token.content = content;
    one.token.special = special.contains(content);
    one.token.normalized = !one.token.special;
    out.listed.push_back(std::move(one));
  }
}

// "chat_template": one text, or a list of {"name", "template"}.
void read_templates(const JsonNode& node, TokenizerConfig& out) {
  if (node.json().is_string()) {
    out.templates.emplace_back("default", node.string());
    return;
  }
  for (size_t i = 0; i < node.size(); ++i) {
    const auto one = node.at(i);
    out.templates.emplace_back(one.at("name").string(), one.at("template").string());
  }
}

bool reads_left(const JsonNode& side) {
  if (side.string() != "left" && side.string() != "right") side.wrong_type("left or right");
  return side.string() == "left";
}

// Of keys that would change the result: what they hold where they do not.
bool is_neutral(const std::string& key, const Json& value) {
  if (key == "fast_tokenizer_files") return value == Json::array({"tokenizer.json"});
  return value.is_null() || value == false || value.empty();
}

void check_keys(const File& config, TokenizerConfig& out) {
  for (const auto& key : config.keys) {
    const auto& value = config.json[key];
    const auto use = tokenizer_key(key);
    if (use == TokenizerKey::refused && !is_neutral(key, value)) {
      config.node().find(key)->fail("is not supported, expected none");
    }
    const bool named = key.ends_with("_token") && (value.is_null() || is_token(value));
    if (use == TokenizerKey::unknown && !named) {
      out.warnings.push_back(config.place + ": \"" + key +
                             "\" is not known; it is taken to be without effect, as in "
                             "transformers");
    }
  }
}

void read_settings(const JsonNode& config, TokenizerConfig& out) {
  out.tokenizer_class = config.string_or("tokenizer_class", "");
  out.family = out.tokenizer_class;
  if (const auto map = config.find("auto_map")) out.family += map->json().dump();
  out.split_special_tokens = config.boolean_or("split_special_tokens", false);
  out.clean_up = config.boolean_or("clean_up_tokenization_spaces", false);
  out.clean_up_bpe = config.boolean_or(
      "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", false);
  if (const auto side = config.find("truncation_side")) out.truncates_left = reads_left(*side);
  if (const auto side = config.find("padding_side")) reads_left(*side);
  for (const char* key : {"model_max_length", "max_len"}) {
    const auto length = config.find(key);
    if (!length || out.max_length) continue;
    if (length->number() < 1) length->wrong_type("at least 1");
    if (length->number() < kNoLimit) out.max_length = static_cast<int64_t>(length->number());
  }
  if (const auto node = config.find("chat_template")) read_templates(*node, out);
}

}  // namespace

const AddedToken* TokenizerConfig::find(std::string_view name) const {
  for (const auto& [known, token] : named) {
    if (known == name) return &token;
  }
  return nullptr;
}

TokenizerConfig read_tokenizer_config(const fs::path& folder) {
  const File config(folder / "tokenizer_config.json");
  TokenizerConfig out;
  out.place = config.place;
  out.json = config.json;
  check_keys(config, out);
  read_settings(config.node(), out);
  const auto list = config.node().find("added_tokens_decoder");
  out.lists_tokens = list.has_value();
  const File map(folder / "special_tokens_map.json");
  SpecialReader(out).read(config, out.lists_tokens ? nullptr : &map);
  if (list) {
    read_listed(*list, out);
  } else {
    read_added_file(File(folder / "added_tokens.json"), out);
  }
  std::stable_sort(out.listed.begin(), out.listed.end(),
                   [](const auto& a, const auto& b) { return a.id < b.id; });
  return out;
}

}  // namespace preimage::text
