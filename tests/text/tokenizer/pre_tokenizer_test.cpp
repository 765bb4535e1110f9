// Pieces against the tokenizers library: all split behaviours, and the translation of patterns.
#include "tokenizer/pre_tokenizer.hpp"

#include <gmock/gmock.h>

#include "preimage/base/json.hpp"
#include "preimage/base/utf8.hpp"
#include "regex/regex.hpp"

namespace preimage::text {
namespace {

TEST(PreTokenizer, CutsLikeTokenizers) {
  const auto fixture = base::read_json(PREIMAGE_TEST_DATA "/text/fixtures/splits.json");
  for (const auto& one : fixture["cases"]) {
    const auto stage = make_pre_tokenizer(base::JsonNode(one["stage"], "splits.json"));
    for (size_t i = 0; i < fixture["texts"].size(); ++i) {
      Pieces pieces{fixture["texts"][i].get<std::string>(), {}};
      if (!pieces.text.empty()) pieces.spans = {{0, pieces.text.size()}};
      stage->apply(pieces);
      std::vector<std::string> found;
      for (const auto& span : pieces.spans) found.emplace_back(pieces.view(span));
      EXPECT_EQ(found, one["pieces"][i].get<std::vector<std::string>>())
          << one["stage"].dump() << " on " << base::escape_text(pieces.text);
    }
  }
}

TEST(PreTokenizer, ByteAlphabet) {
  const auto alphabet = byte_alphabet();
  EXPECT_EQ(alphabet[' '], U'Ġ');
  EXPECT_EQ(alphabet['\n'], U'Ċ');
  EXPECT_EQ(alphabet['a'], U'a');
  EXPECT_EQ(alphabet[0xAD], char32_t{0x143});
  EXPECT_EQ(alphabet[0xFF], char32_t{0xFF});
}

TEST(Regex, TranslationKeepsPublishedPatterns) {
  EXPECT_EQ(translate_pattern(R"(x{1,3}| ?[^\s\p{Z}]+[\r\n/]*|\s+(?!\S))", "p"),
            R"(x{1,3}| ?[^\p{White_Space}\p{Z}]+[\r\n/]*|\p{White_Space}+(?!\P{White_Space}))");
  // Characters that PCRE2 does not know yet stand beside the category.
  const auto sets = translate_pattern(R"([\p{L}&&[^\p{Han}]]+)", "p");
  EXPECT_THAT(sets, testing::StartsWith(R"((?:(?=[^\p{sc:Han}\x{)"));
  EXPECT_THAT(sets, testing::HasSubstr(R"(])[\p{L}\x{)"));
  EXPECT_THAT(sets, testing::EndsWith("])+"));
}

}  // namespace
}  // namespace preimage::text
