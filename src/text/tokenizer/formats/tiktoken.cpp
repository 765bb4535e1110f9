// Rank files of tiktoken: "base64 of the token, space, rank" on each line.
#include <charconv>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "tokenizer/charsmap.hpp"
#include "tokenizer/formats/tokenizer_sources.hpp"
#include "tokenizer/models/bpe.hpp"

namespace preimage::text {
namespace {

struct Ranked {
  Vocabulary vocabulary;        // in the byte alphabet
  std::vector<uint32_t> ranks;  // by id
};

Ranked read_ranks(std::string_view lines, const std::string& place) {
  Ranked out;
  const auto alphabet = byte_alphabet();
  int64_t number = 0;
  while (!lines.empty()) {
    ++number;
    auto line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const auto refuse = [&](const std::string& what) {
      return base::data_error(base::str(place, ":", number, ": ", what,
                                        "; a line is \"base64 of a token, space, rank\""));
    };
    const size_t space = line.find(' ');
    if (space == line.npos) throw refuse("found no space");
    const auto bytes = decode_base64(line.substr(0, space));
    if (!bytes || bytes->empty()) throw refuse("the token is not base64");
    uint32_t rank = 0;
    const char* end = line.data() + line.size();
    const auto [stop, error] = std::from_chars(line.data() + space + 1, end, rank);
    if (error != std::errc() || stop != end || rank > kMaxTokenId) {
      throw refuse(base::str("the rank is no integer from 0 to ", kMaxTokenId));
    }
    std::string token;
    for (const char c : *bytes) base::append_utf8(alphabet[static_cast<uint8_t>(c)], token);
    if (!out.vocabulary.emplace(std::move(token), rank).second)
      throw refuse("the token came before");
    if (rank >= out.ranks.size()) out.ranks.resize(rank + 1, UINT32_MAX);
    if (out.ranks[rank] != UINT32_MAX) throw refuse(base::str("rank ", rank, " came before"));
    out.ranks[rank] = rank;
  }
  for (const char32_t letter : alphabet) {
    std::string token;
    base::append_utf8(letter, token);
    if (!out.vocabulary.contains(token)) {
      throw base::data_error(place + ": not every single byte is a token; is the file whole?");
    }
  }
  return out;
}

}  // namespace

std::unique_ptr<Tokenizer::Parts> tiktoken_parts(std::string_view lines, const std::string& pattern,
                                                 bool nfc, const std::string& place) {
  auto ranked = read_ranks(lines, place);
  auto parts = std::make_unique<Tokenizer::Parts>();
  const base::Json form = {{"type", "NFC"}};
  if (nfc) parts->normalizer = make_normalizer(base::JsonNode(form, place));
  const base::Json split = {
      {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
  const base::Json bytes = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const base::Json cut = {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}};
  parts->pre_tokenizer = make_pre_tokenizer(base::JsonNode(cut, place));
  BpeOptions options;
  options.ignore_merges = true;  // a whole piece that is a token is that token
  parts->model = make_bpe_by_rank(std::move(ranked.vocabulary), ranked.ranks, std::move(options));
  parts->decoder = make_decoder(base::JsonNode(bytes, place));
  return parts;
}

}  // namespace preimage::text
