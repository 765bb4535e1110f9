// Reading a tokenizer from the files of a checkpoint.
#include <algorithm>
#include <functional>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/text/generation_config.hpp"
#include "tokenizer/formats/tokenizer_sources.hpp"

namespace preimage::text {
namespace {

using Parts = Tokenizer::Parts;
namespace fs = std::filesystem;

// The ids by name: of the configuration, and where it names none, of generation_config.json.
void read_names(Parts& parts, const TokenizerConfig& config, const fs::path& folder) {
  const auto named = [&](std::optional<int64_t>& id, const char* name) {
    const auto* token = config.find(name);
    if (token != nullptr) id = parts.id_of(token->content);
  };
  auto& special = parts.special;
  named(special.bos, "bos_token");
  named(special.eos, "eos_token");
  named(special.pad, "pad_token");
  named(special.unk, "unk_token");
  const auto generation = read_generation_config(folder);
  special.stop = generation.eos;
  if (!special.bos) special.bos = generation.bos;
  if (!special.pad) special.pad = generation.pad;
  if (!special.eos && !special.stop.empty()) special.eos = special.stop.front();
  if (special.stop.empty() && special.eos) special.stop = {*special.eos};
}

// gpt-oss ends a turn with <|return|> and a call of a tool with <|call|>, whatever its files say.
void add_harmony_stops(Parts& parts) {
  if (!parts.id_of("<|channel|>") || !parts.id_of("<|return|>")) return;
  auto& stop = parts.special.stop;
  for (const char* name : {"<|return|>", "<|call|>"}) {
    const auto id = parts.id_of(name);
    if (id && std::find(stop.begin(), stop.end(), *id) == stop.end()) stop.push_back(*id);
  }
}

// Whether a normalizer is Lowercase, or a list of normalizers that holds it.
bool has_lowercase(const base::JsonNode& node) {
  if (node.at("type").string() == "Lowercase") return true;
  const auto list = node.find("normalizers");
  if (!list) return false;
  for (size_t i = 0; i < list->size(); ++i) {
    if (list->at(i).at("type").string() == "Lowercase") return true;
  }
  return false;
}

Tokenizer whole(std::unique_ptr<Parts> parts, std::string_view bytes) {
  parts->sha256 = base::sha256_hex(bytes);
  index_tokens(*parts);
  return Tokenizer(std::move(parts));
}

// The large tables are read apart. Where they or the rest are not as they should be, the whole is
// read as any JSON, which says what is wrong and in which line.
// `change` may alter the document, but for the tables.
using Change = std::function<void(base::Json&)>;
std::unique_ptr<Parts> parts_of_text(std::string_view json, const std::string& place,
                                     const Change& change) {
  const auto parts = [&](std::string_view text, JsonTables* tables) {
    base::Json document = base::parse_json(text, place, {.max_bytes = kTokenizerBytes});
    change(document);
    return json_parts(document, place, tables);
  };
  if (json.size() <= kTokenizerBytes) {
    auto tables = cut_tables(json);
    try {
      if (tables) return parts(tables->rest, &*tables);
    } catch (const base::Error&) {
    }
  }
  return parts(json, nullptr);
}

}  // namespace

std::unique_ptr<Parts> json_parts(const base::Json& document, const std::string& place,
                                  JsonTables* tables) {
  const base::JsonNode root(document, place);
  if (const auto version = root.at("version"); version.string() != "1.0") {
    version.wrong_type("\"1.0\"");
  }
  auto parts = std::make_unique<Parts>();
  if (const auto node = root.find("normalizer")) {
    parts->normalizer = make_normalizer(*node);
    parts->lowers = has_lowercase(*node);
  }
  if (const auto node = root.find("pre_tokenizer"))
    parts->pre_tokenizer = make_pre_tokenizer(*node);
  if (const auto node = root.find("post_processor")) {
    parts->post_processor = make_post_processor(*node);
  }
  if (const auto node = root.find("decoder")) parts->decoder = make_decoder(*node);
  parts->model = make_model(root.at("model"), tables);
  parts->added = std::make_unique<AddedVocabulary>(parts->model->vocabulary());
  if (const auto list = root.find("added_tokens")) read_added_tokens(*list, *parts->added);
  if (const auto truncation = root.find("truncation")) {
    parts->truncates_left = truncation->string_or("direction", "Right") == "Left";
  }
  return parts;
}

Tokenizer parse_tokenizer(std::string_view json, const std::string& place) {
  return whole(parts_of_text(json, place, [](base::Json&) {}), json);
}

Tokenizer parse_sentencepiece(std::string_view bytes, const std::string& place) {
  return whole(sentencepiece_parts(bytes, place), bytes);
}

Tokenizer parse_tiktoken(std::string_view lines, const std::string& pattern,
                         const std::string& place) {
  return whole(tiktoken_parts(lines, pattern, false, place), lines);
}

Tokenizer load_tokenizer(const fs::path& folder) {
  auto config = read_tokenizer_config(folder);
  const fs::path path = folder / "tokenizer.json";
  std::unique_ptr<Parts> parts;
  std::vector<std::string> warnings;
  std::string name;  // of the tokenizer's class
  if (fs::exists(path)) {
    const auto json = base::read_file(path, kTokenizerBytes);
    parts = parts_of_text(json, path.string(), [&](base::Json& document) {
      warnings.clear();  // a file that is not as it should be is read twice
      name = class_of(folder, config, document);
      apply_class(name, config, document, warnings);
    });
    add_class_tokens(name, config);
    parts->sha256 = base::sha256_hex(json);
  } else {
    parts = parts_from_old_files(folder, config);
  }
  apply_config(*parts, config);
  set_class_ends(name, config, *parts);
  parts->warnings.insert(parts->warnings.end(), warnings.begin(), warnings.end());
  index_tokens(*parts);
  read_names(*parts, config, folder);
  add_harmony_stops(*parts);
  return Tokenizer(std::move(parts));
}

}  // namespace preimage::text
