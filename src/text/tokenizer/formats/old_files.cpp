// Tokenizers of checkpoints that have no tokenizer.json.
#include <algorithm>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "tokenizer/formats/tokenizer_sources.hpp"

namespace preimage::text {
namespace {

namespace fs = std::filesystem;
using base::Json;
using Parts = Tokenizer::Parts;

constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kThreeDigits =  // cl100k_base, Llama 3
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kKimi =
    R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Source {
  fs::path folder;
  const TokenizerConfig& config;
};

// The listed tokens keep the ids that they are listed with: those files count on them.
void put_listed(Parts& parts, const TokenizerConfig& config) {
  parts.added = std::make_unique<AddedVocabulary>(parts.model->vocabulary());
  for (const auto& one : config.listed) parts.added->put(one.id, one.token);
}

AddedToken special_token(std::string content) {
  AddedToken token;
  token.content = std::move(content);
  token.special = true;
  token.normalized = false;
  return token;
}

// [before] A [after], by the texts of the tokens; those that are no tokens are left out.
void frame(Parts& parts, const std::vector<std::string>& before,
           const std::vector<std::string>& after) {
  Json single = Json::array(), special = Json::object();
  const auto put = [&](const std::string& token) {
    const auto id = parts.id_of(token);
    if (!id) return;
    single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    special[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
  };
  for (const auto& token : before) put(token);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  for (const auto& token : after) put(token);
  const Json document = {
      {"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", special}};
  parts.post_processor = make_post_processor(base::JsonNode(document, "post-processor"));
}

// T5 and Llama put tokens round a text that their files do not mention.
void frame_by_class(Parts& parts, const TokenizerConfig& config) {
  const auto content = [&](const char* name, const char* otherwise) {
    const auto* token = config.find(name);
    return token == nullptr ? std::string(otherwise) : token->content;
  };
  const auto& family = config.family;
  const bool t5 = family.find("T5") != family.npos;
  const bool llama = family.find("Llama") != family.npos || family.find("Gemma") != family.npos;
  std::vector<std::string> before, after;
  if (config.node().boolean_or("add_bos_token", llama)) {
    before.push_back(content("bos_token", "<s>"));
  }
  if (config.node().boolean_or("add_eos_token", t5)) after.push_back(content("eos_token", "</s>"));
  if (!before.empty() || !after.empty()) frame(parts, before, after);
}

std::unique_ptr<Parts> from_sentencepiece(const Source& source, const fs::path& path) {
  const auto bytes = base::read_file(path, kTokenizerBytes);
  auto parts = sentencepiece_parts(bytes, path.string());
  parts->sha256 = base::sha256_hex(bytes);
  put_listed(*parts, source.config);
  if (source.config.listed.empty() && source.config.family.find("T5") != std::string::npos) {
    // The sentinels of T5, highest first, behind the pieces.
    for (int i = 99; i >= 0; --i) {
      parts->added->add(special_token(base::str("<extra_id_", i, ">")));
    }
  }
  frame_by_class(*parts, source.config);
  return parts;
}

struct TiktokenForm {
  const char* name;  // part of the file's name or of the tokenizer's class
  const char* pattern;
  bool nfc = false;
  uint32_t reserved = 0;  // ids behind the ranks that are special tokens, listed or not
};

std::unique_ptr<Parts> from_tiktoken(const Source& source, const fs::path& path) {
  static constexpr TiktokenForm kForms[] = {
      {"kimi", kKimi, false, 256},
      {"TikTokenTokenizer", kKimi, false, 256},
      {"o200k", kO200k},
      {"cl100k", kThreeDigits},
      {"llama3", kThreeDigits},
      {"Llama3", kThreeDigits},
      {"qwen", kQwen, true},
      {"QWen", kQwen, true},
      {"r50k", kGpt2},
      {"p50k", kGpt2},
      {"gpt2", kGpt2},
  };
  const auto name = path.filename().string() + " " + source.config.family;
  const TiktokenForm* form = nullptr;
  for (const auto& known : kForms) {
    if (form == nullptr && name.find(known.name) != name.npos) form = &known;
  }
  if (form == nullptr) {
    throw base::data_error(path.string() +
                           ": the pattern of this tiktoken file is not known; expected a "
                           "tokenizer_config.json that names Kimi, Llama3 or Qwen, or a file named "
                           "after o200k, cl100k, r50k, p50k or gpt2");
  }
  const auto lines = base::read_file(path, kTokenizerBytes);
  auto parts = tiktoken_parts(lines, form->pattern, form->nfc, path.string());
  parts->sha256 = base::sha256_hex(lines);
  put_listed(*parts, source.config);
  for (const auto& one : source.config.listed) {
    parts->added->put(one.id, special_token(one.token.content));
  }
  const auto first = static_cast<uint32_t>(parts->model->vocabulary().size());
  for (uint32_t id = first; id < first + form->reserved; ++id) {
    if (parts->added->tokens().contains(id)) continue;
    parts->added->put(id, special_token(base::str("<|reserved_token_", id, "|>")));
  }
  return parts;
}

Json special_list(const Json& vocabulary, const std::vector<std::string>& contents) {
  Json out = Json::array();
  for (const auto& content : contents) {
    if (!vocabulary.contains(content)) continue;
    out.push_back({{"id", vocabulary[content]},
                   {"content", content},
                   {"special", true},
                   {"normalized", false}});
  }
  return out;
}

std::unique_ptr<Parts> from_vocab_txt(const Source& source, const fs::path& path) {
  const auto text = base::read_file(path, kTokenizerBytes);
  Json vocabulary = Json::object();
  uint64_t id = 0;
  for (size_t begin = 0; begin < text.size(); ++id) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    auto token = text.substr(begin, end - begin);
    if (token.ends_with('\r')) token.pop_back();
    vocabulary[token] = id;
    begin = end + 1;
  }
  const auto config = source.config.node();
  const Json lower = config.boolean_or("do_lower_case", true);
  const Json accents = config.find("strip_accents") ? source.config.json["strip_accents"] : Json();
  const Json document = {
      {"version", "1.0"},
      {"added_tokens", special_list(vocabulary, {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})},
      {"normalizer",
       {{"type", "BertNormalizer"},
        {"clean_text", true},
        {"handle_chinese_chars", config.boolean_or("tokenize_chinese_chars", true)},
        {"strip_accents", accents},
        {"lowercase", lower}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
      {"model", {{"type", "WordPiece"}, {"unk_token", "[UNK]"}, {"vocab", vocabulary}}}};
  auto parts = json_parts(document, path.string());
  parts->sha256 = base::sha256_hex(text);
  frame(*parts, {"[CLS]"}, {"[SEP]"});
  return parts;
}

std::unique_ptr<Parts> from_vocab_json(const Source& source, const fs::path& path) {
  const auto merges_path = source.folder / "merges.txt";
  if (!fs::exists(merges_path)) {
    throw base::data_error(merges_path.string() + ": no such file, though there is a vocab.json");
  }
  base::JsonLimits limits;
  limits.max_bytes = kTokenizerBytes;
  const auto text = base::read_file(merges_path, kTokenizerBytes);
  Json merges = Json::array();
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const size_t stop = end > begin && text[end - 1] == '\r' ? end - 1 : end;
    if (stop > begin) merges.push_back(text.substr(begin, stop - begin));
    begin = end + 1;
  }
  const auto& family = source.config.family;
  const bool qwen = family.find("Qwen2") != family.npos;
  const Json bytes = {
      {"type", "ByteLevel"},
      {"add_prefix_space", source.config.node().boolean_or("add_prefix_space", false)},
      {"use_regex", !qwen}};
  Json cut = bytes;
  if (qwen) {
    const Json split = {
        {"type", "Split"}, {"pattern", {{"Regex", kQwen}}}, {"behavior", "Isolated"}};
    cut = {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}};
  }
  const Json document = {
      {"version", "1.0"},
      {"normalizer", qwen ? Json{{"type", "NFC"}} : Json()},
      {"pre_tokenizer", cut},
      {"decoder", bytes},
      {"model", {{"type", "BPE"}, {"vocab", base::read_json(path, limits)}, {"merges", merges}}}};
  auto parts = json_parts(document, path.string());
  parts->sha256 = base::sha256_hex(document.dump());
  put_listed(*parts, source.config);
  return parts;
}

// A SentencePiece model and a tiktoken file may have the same name.
bool is_tiktoken(const fs::path& path) {
  const auto text = base::read_file(path, kTokenizerBytes);
  const std::string_view head = std::string_view(text).substr(0, text.find('\n'));
  const bool printable =
      std::all_of(head.begin(), head.end(), [](char c) { return c >= ' ' && c <= '~'; });
  return printable && head.find(' ') != head.npos;
}

constexpr const char* kModelNames[] = {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
                                       "tiktoken.model"};

std::vector<fs::path> rank_files(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".tiktoken") out.push_back(entry.path());
  }
  return out;
}

}  // namespace

bool has_tokenizer(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "vocab.txt", "vocab.json"}) {
    if (fs::exists(folder / name)) return true;
  }
  for (const char* name : kModelNames) {
    if (fs::exists(folder / name)) return true;
  }
  return fs::is_directory(folder) && rank_files(folder).size() == 1;
}

std::unique_ptr<Parts> parts_from_old_files(const fs::path& folder, const TokenizerConfig& config) {
  const Source source{folder, config};
  for (const char* name : kModelNames) {
    const auto path = folder / name;
    if (!fs::exists(path)) continue;
    return is_tiktoken(path) ? from_tiktoken(source, path) : from_sentencepiece(source, path);
  }
  const auto ranked = rank_files(folder);
  if (ranked.size() == 1) return from_tiktoken(source, ranked[0]);
  if (fs::exists(folder / "vocab.txt")) return from_vocab_txt(source, folder / "vocab.txt");
  if (fs::exists(folder / "vocab.json")) return from_vocab_json(source, folder / "vocab.json");
  throw base::data_error(folder.string() +
                         ": holds no tokenizer; expected tokenizer.json, tokenizer.model, "
                         "spiece.model, one *.tiktoken, vocab.txt, or vocab.json with merges.txt");
}

}  // namespace preimage::text
