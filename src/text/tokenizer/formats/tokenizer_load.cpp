// Reading a tokenizer from the files of a checkpoint.
#include <algorithm>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "tokenizer/formats/tokenizer_sources.hpp"

namespace preimage::text {
namespace {

using Parts = Tokenizer::Parts;
namespace fs = std::filesystem;

void add_matchers(Parts& parts, const std::vector<AddedToken>& tokens, const std::string& place) {
  std::vector<AddedToken> raw, normalized;
  std::vector<std::string> raw_contents, normalized_contents;
  // Special tokens first: of two that normalize to the same text the reference takes the first.
  for (const bool special : {true, false}) {
    for (const auto& token : tokens) {
      if (token.special != special) continue;
      std::string content = token.content;
      if (!token.normalized) {
        raw.push_back(token);
        raw_contents.push_back(std::move(content));
        continue;
      }
      if (parts.normalizer) parts.normalizer->apply(content);
      if (content.empty()) {
        throw base::data_error(place + ": \"" + token.content + "\" normalizes to an empty text");
      }
      normalized.push_back(token);
      normalized_contents.push_back(std::move(content));
    }
  }
  parts.raw_tokens = std::make_unique<AddedTokenMatcher>(std::move(raw), raw_contents);
  parts.normalized_tokens =
      std::make_unique<AddedTokenMatcher>(std::move(normalized), normalized_contents);
}

void index_tokens(Parts& parts, const std::vector<AddedToken>& tokens) {
  for (const auto& token : tokens) {
    parts.added.emplace(token.content, token.id);
    if (token.special) parts.special_ids.insert(token.id);
  }
  const auto put = [&](const Vocabulary& vocabulary) {
    for (const auto& [token, id] : vocabulary) {
      if (id >= parts.tokens.size()) parts.tokens.resize(id + 1, nullptr);
      if (parts.tokens[id] == nullptr) ++parts.token_count;
      parts.tokens[id] = &token;
    }
  };
  put(parts.model->vocabulary());
  put(parts.added);
  for (const auto& token : tokens) {
    if (!token.normalized || !parts.normalizer) continue;
    parts.normalized_texts.push_back(token.content);
    parts.normalizer->apply(parts.normalized_texts.back());
    parts.tokens[token.id] = &parts.normalized_texts.back();
  }
  const auto added = [&](uint32_t id) {
    return std::any_of(tokens.begin(), tokens.end(), [&](const auto& t) { return t.id == id; });
  };
  for (const auto& [id, text] : parts.decoded_forms) {
    if (!added(id)) parts.tokens[id] = &text;
  }
}

// "eos_token": a string, or an object with "content".
std::optional<int64_t> named_token(const Parts& parts, const base::JsonNode& config,
                                   const std::string& key) {
  const auto node = config.find(key);
  if (!node) return std::nullopt;
  const auto text = node->json().is_object() ? node->at("content") : *node;
  if (text.string().empty()) return std::nullopt;
  const auto id = parts.id_of(text.string());
  if (!id) text.fail("\"" + text.string() + "\" is not a token of tokenizer.json");
  return id;
}

void read_names(Parts& parts, const fs::path& path) {
  base::JsonLimits limits;
  limits.max_bytes = kTokenizerConfigBytes;
  const base::Json document = base::read_json(path, limits);
  const base::JsonNode config(document, path.string());
  const auto keep = [&](std::optional<int64_t>& id, const std::string& key) {
    if (!id) id = named_token(parts, config, key);
  };
  keep(parts.special.bos, "bos_token");
  keep(parts.special.eos, "eos_token");
  keep(parts.special.pad, "pad_token");
  keep(parts.special.unk, "unk_token");
}

std::vector<int64_t> id_list(const base::JsonNode& node) {
  if (!node.json().is_array()) return {node.integer(0, kMaxTokenId)};
  std::vector<int64_t> out;
  for (size_t i = 0; i < node.size(); ++i) out.push_back(node.at(i).integer(0, kMaxTokenId));
  return out;
}

void read_generation_config(SpecialTokens& special, const fs::path& path) {
  const base::Json document = base::read_json(path);
  const base::JsonNode config(document, path.string());
  if (const auto eos = config.find("eos_token_id")) special.stop = id_list(*eos);
  const auto keep = [&](std::optional<int64_t>& id, const std::string& key) {
    const auto node = config.find(key);
    if (!id && node) id = node->integer(0, kMaxTokenId);
  };
  keep(special.bos, "bos_token_id");
  keep(special.pad, "pad_token_id");
  if (!special.eos && !special.stop.empty()) special.eos = special.stop.front();
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

}  // namespace

void add_tokens(Parts& parts, std::vector<AddedToken> tokens, const std::string& place) {
  // Tables of an earlier call: a source may add tokens to those of its model.
  parts.added.clear();
  parts.tokens.clear();
  parts.normalized_texts.clear();
  parts.special_ids.clear();
  parts.token_count = 0;
  std::erase_if(tokens, [](const AddedToken& token) { return token.content.empty(); });
  add_matchers(parts, tokens, place);
  index_tokens(parts, tokens);
}

std::unique_ptr<Parts> json_parts(const base::Json& document, const std::string& place) {
  const base::JsonNode root(document, place);
  if (const auto version = root.at("version"); version.string() != "1.0") {
    version.wrong_type("\"1.0\"");
  }
  auto parts = std::make_unique<Parts>();
  if (const auto node = root.find("normalizer")) parts->normalizer = make_normalizer(*node);
  if (const auto node = root.find("pre_tokenizer"))
    parts->pre_tokenizer = make_pre_tokenizer(*node);
  if (const auto node = root.find("post_processor")) {
    parts->post_processor = make_post_processor(*node);
  }
  if (const auto node = root.find("decoder")) parts->decoder = make_decoder(*node);
  parts->model = make_model(root.at("model"));
  const base::Json none = base::Json::array();
  const auto list = root.find("added_tokens").value_or(base::JsonNode(none, place));
  add_tokens(*parts, read_added_tokens(list, parts->model->vocabulary()), list.place());
  return parts;
}

Tokenizer parse_tokenizer(std::string_view json, const std::string& place) {
  base::JsonLimits limits;
  limits.max_bytes = kTokenizerBytes;
  auto parts = json_parts(base::parse_json(json, place, limits), place);
  parts->sha256 = base::sha256_hex(json);
  return Tokenizer(std::move(parts));
}

Tokenizer parse_sentencepiece(std::string_view bytes, const std::string& place) {
  auto parts = sentencepiece_parts(bytes, place);
  add_tokens(*parts, {}, place);
  parts->sha256 = base::sha256_hex(bytes);
  return Tokenizer(std::move(parts));
}

Tokenizer parse_tiktoken(std::string_view lines, const std::string& pattern,
                         const std::string& place) {
  auto parts = tiktoken_parts(lines, pattern, false, place);
  add_tokens(*parts, {}, place);
  parts->sha256 = base::sha256_hex(lines);
  return Tokenizer(std::move(parts));
}

Tokenizer load_tokenizer(const fs::path& folder) {
  const fs::path path = folder / "tokenizer.json";
  std::unique_ptr<Parts> parts;
  if (fs::exists(path)) {
    base::JsonLimits limits;
    limits.max_bytes = kTokenizerBytes;
    const auto json = base::read_file(path, kTokenizerBytes);
    parts = json_parts(base::parse_json(json, path.string(), limits), path.string());
    parts->sha256 = base::sha256_hex(json);
  } else {
    parts = parts_from_old_files(folder);
  }
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    if (fs::exists(folder / name)) read_names(*parts, folder / name);
  }
  if (fs::exists(folder / "generation_config.json")) {
    read_generation_config(parts->special, folder / "generation_config.json");
  }
  if (parts->special.stop.empty() && parts->special.eos)
    parts->special.stop = {*parts->special.eos};
  add_harmony_stops(*parts);
  return Tokenizer(std::move(parts));
}

}  // namespace preimage::text
