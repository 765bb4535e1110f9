// The added tokens of a tokenizer: what its configuration adds to its own, and the tables for
// finding and showing all of them.
#include <algorithm>
#include <set>

#include "preimage/base/str.hpp"
#include "tokenizer/formats/tokenizer_sources.hpp"

namespace preimage::text {
namespace {

using Parts = Tokenizer::Parts;

// What transformers adds: the tokens listed by id, then the special ones by name and without, where
// nothing has them yet.
class ConfigTokens {
 public:
  ConfigTokens(const AddedVocabulary& there, const TokenizerConfig& config) {
    std::set<std::string> names;
    for (const auto& [name, token] : config.named) names.insert(token.content);
    std::set<std::string> known;
    for (const auto& [id, token] : there.tokens()) known.insert(token.content);
    for (const auto& [id, token] : merged(there, config)) {
      known.insert(token.content);
      append(token, names.contains(token.content));
    }
    // One that is named twice takes the flags of the last naming.
    for (const auto& [name, token] : config.named) {
      if (!known.contains(token.content)) append(token, true);
    }
    for (const auto& token : config.extra) {
      if (!known.contains(token.content)) append(token, names.contains(token.content));
    }
  }
  const std::vector<AddedToken>& list() const { return list_; }

 private:
  // An added_tokens_decoder stands alone; entries of added_tokens.json give way to the tokenizer's.
  static std::map<uint32_t, AddedToken> merged(const AddedVocabulary& there,
                                               const TokenizerConfig& config) {
    std::map<uint32_t, AddedToken> out;
    for (const auto& one : config.listed) out.emplace(one.id, one.token);
    if (config.lists_tokens) return out;
    for (const auto& [id, token] : there.tokens()) out.insert_or_assign(id, token);
    return out;
  }
  void append(const AddedToken& token, bool named) {
    list_.push_back(token);
    list_.back().special = token.special || named;
  }

  std::vector<AddedToken> list_;
};

void warn_of_ids(const Parts& parts, const TokenizerConfig& config,
                 std::vector<std::string>& warnings) {
  for (const auto& one : config.listed) {
    const auto id = parts.added->id_of(one.token.content);
    if (!id || *id == one.id) continue;
    warnings.push_back(base::str(
        config.place, ": \"", one.token.content, "\" is listed with id ", one.id, ", but gets ",
        *id, " (its id in the tokenizer, or the next one behind all), as in transformers"));
  }
}

void make_matchers(Parts& parts) {
  std::vector<AddedPattern> raw, normalized;
  // Special tokens first: of two that normalize to the same text one must count.
  for (const bool special : {true, false}) {
    for (const auto& [id, token] : parts.added->tokens()) {
      AddedPattern pattern{token.content, id, token};
      pattern.flags.special = parts.added->special(token.content);
      if (pattern.flags.special != special) continue;
      if (token.normalized && parts.normalizer) parts.normalizer->apply(pattern.text);
      (token.normalized ? normalized : raw).push_back(std::move(pattern));
    }
  }
  parts.raw_tokens = std::make_unique<AddedTokenMatcher>(std::move(raw));
  parts.normalized_tokens = std::make_unique<AddedTokenMatcher>(std::move(normalized));
}

void make_texts(Parts& parts) {
  const auto put = [&](const std::string& text, uint32_t id) {
    if (id >= parts.tokens.size()) parts.tokens.resize(id + 1, nullptr);
    if (parts.tokens[id] == nullptr) ++parts.token_count;
    parts.tokens[id] = &text;
  };
  for (const auto& [token, id] : parts.model->vocabulary()) put(token, id);
  for (const auto& [id, text] : parts.decoded_forms) parts.tokens[id] = &text;
  for (const auto& [id, token] : parts.added->tokens()) {
    put(token.content, id);
    if (!parts.added->shown_normalized(id) || !parts.normalizer) continue;
    parts.normalized_texts.push_back(token.content);
    parts.normalizer->apply(parts.normalized_texts.back());
    parts.tokens[id] = &parts.normalized_texts.back();
  }
}

// As in the tokenizers library, decoding leaves out a token whose shown text is the content of a
// special one: not a special token that a normalizer shows in another form.
void find_special(Parts& parts) {
  for (const auto& [id, token] : parts.added->tokens()) {
    if (!parts.added->special(token.content)) continue;
    parts.special_ids.insert(id);
    const auto of_model = parts.model->vocabulary().find(token.content);
    if (of_model == parts.model->vocabulary().end()) continue;
    const auto* shown = parts.tokens[of_model->second];
    if (*shown == token.content) parts.skipped_ids.insert(of_model->second);
  }
  for (const auto& [id, token] : parts.added->tokens()) {
    if (parts.added->special(*parts.tokens[id])) parts.skipped_ids.insert(id);
  }
}

}  // namespace

void apply_config(Parts& parts, const TokenizerConfig& config) {
  const ConfigTokens tokens(*parts.added, config);
  for (const auto& token : tokens.list()) parts.added->add(token);
  parts.split_special = config.split_special_tokens;
  parts.clean_up = config.clean_up && (config.clean_up_bpe || !parts.model->is_bpe());
  if (config.truncates_left) parts.truncates_left = *config.truncates_left;
  parts.max_length = config.max_length;
  parts.warnings = config.warnings;
  warn_of_ids(parts, config, parts.warnings);
}

void index_tokens(Parts& parts) {
  if (!parts.added) parts.added = std::make_unique<AddedVocabulary>(parts.model->vocabulary());
  const auto* cut = parts.pre_tokenizer.get();
  parts.needs_origin =
      cut != nullptr && cut->asks_for_origin() && (parts.normalizer || cut->rewrites());
  make_matchers(parts);
  make_texts(parts);
  find_special(parts);
}

}  // namespace preimage::text
