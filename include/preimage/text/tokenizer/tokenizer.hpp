// Tokenizers of published checkpoints: the file tokenizer.json and the special-token names beside
// it, with the ids and texts of the reference implementation (huggingface/tokenizers).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace preimage::text {

struct EncodeOptions {
  // Apply the post-processor: what the checkpoint puts around a sequence (bos, [CLS] ... [SEP]).
  bool add_special = false;
  // Recognise tokens marked "special" inside the text. Turn it off for text that nobody trusts:
  // "<|im_start|>" is then ordinary characters. Added tokens that are not special stay recognised.
  bool parse_special = true;
  // Put the normalizer Lowercase in front of the tokenizer's own, unless that has it.
  bool lower_case = false;
};

struct DecodeOptions {
  bool skip_special = false;  // leave out tokens marked "special"
};

// Ids, and the bytes of the text that each stands for (half open). Those of a part of a character
// are the whole character's; special tokens that the post-processor adds stand for none.
struct Encoding {
  std::vector<int64_t> ids;
  std::vector<std::pair<size_t, size_t>> offsets;
};

// Names and ids that the checkpoint's configuration files give.
struct SpecialTokens {
  std::optional<int64_t> bos, eos, pad, unk;
  std::vector<int64_t> stop;  // generation_config.json eos_token_id, or {eos}, or empty
};

// Immutable; const calls may run on any number of threads at once.
class Tokenizer {
 public:
  struct Parts;  // the stages, defined beside the source
  explicit Tokenizer(std::unique_ptr<const Parts> parts);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // `text` is UTF-8 (otherwise ExitCode::bad_data with the byte offset). Empty text gives no ids
  // before the post-processor.
  std::vector<int64_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  // The same, with offsets as the tokenizers library gives them: without the spaces at the ends of
  // a token where the post-processor trims them. Slower than encode().
  Encoding encode_with_offsets(std::string_view text, const EncodeOptions& options = {}) const;

  // UTF-8 text; bytes that form none become U+FFFD, one for each maximal ill-formed part. Ids that
  // no token has (padding rows of an embedding) contribute nothing, as in the reference.
  std::string decode(const std::vector<int64_t>& ids, const DecodeOptions& options = {}) const;
  // decode() is decode_raw(), cleaned(): without the spaces before punctuation, where
  // tokenizer_config.json asks for that ("clean_up_tokenization_spaces").
  std::string decode_raw(const std::vector<int64_t>& ids, const DecodeOptions& options = {}) const;
  std::string cleaned(std::string text) const;

  int64_t vocab_size() const;  // number of tokens, added ones included
  int64_t id_limit() const;    // largest id + 1
  // The same without special tokens: a model needs at least so many embedding rows. A special token
  // behind them, as one to pad with, is no matter while nothing uses it.
  int64_t plain_id_limit() const;
  std::optional<int64_t> token_to_id(std::string_view token) const;
  // The token as the vocabulary writes it ("Ġthe"), or nothing for an id that no token has.
  std::optional<std::string> id_to_token(int64_t id) const;
  bool is_special(int64_t id) const;

  const SpecialTokens& special() const;
  // SHA-256 of tokenizer.json (or of the file in its place), in hex: what a run's identity records.
  const std::string& sha256() const;
  // How a text that is too long is cut, and the limit that tokenizer_config.json names, for those
  // that cut: encode() never does.
  bool truncates_left() const;
  std::optional<int64_t> max_length() const;
  // What the files say that a user should know: one line each.
  const std::vector<std::string>& warnings() const;

 private:
  std::unique_ptr<const Parts> parts_;
};

// Reads tokenizer.json of a checkpoint folder (at most 200 MB); where there is none,
// tokenizer.model or spiece.model (SentencePiece), a tiktoken file, vocab.txt (BERT), or vocab.json
// and merges.txt; and, where present, tokenizer_config.json, special_tokens_map.json,
// added_tokens.json and generation_config.json, with the meaning that transformers 5 gives them:
// tokens that only they name or list are tokens too. ExitCode::bad_data: file, key, what was found,
// what is supported.
Tokenizer load_tokenizer(const std::filesystem::path& folder);
// Whether the folder has one of these files.
bool has_tokenizer(const std::filesystem::path& folder);

// From the text of a tokenizer.json; `place` starts every message.
Tokenizer parse_tokenizer(std::string_view json, const std::string& place);

// From the bytes of a SentencePiece model (Unigram or BPE), with the ids and texts of the
// sentencepiece library; no special tokens are recognised in text.
Tokenizer parse_sentencepiece(std::string_view bytes, const std::string& place);

// From the lines of a tiktoken rank file; `pattern` (Oniguruma's syntax) cuts the text.
Tokenizer parse_tiktoken(std::string_view lines, const std::string& pattern,
                         const std::string& place);

// Text of a growing sequence of ids, piece by piece: the pieces joined equal decode_raw() of all
// ids. A piece is held back while it ends inside a character. (Exception: where a tokenizer writes
// bytes as <0xXX>, an ill-formed run of them is only known at its end and may come out
// differently.) The tokenizer must outlive it.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, const DecodeOptions& options = {})
      : tokenizer_(tokenizer), options_(options) {}
  std::string push(int64_t id);  // text that is now certain; often ""
  std::string finish();          // the rest, ill-formed bytes as U+FFFD

 private:
  const Tokenizer& tokenizer_;
  DecodeOptions options_;
  std::vector<int64_t> ids_;  // since the last clean cut: first `kept_` already emitted
  size_t kept_ = 0;
};

}  // namespace preimage::text
