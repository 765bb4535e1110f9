#include "tokenizer/post_processor.hpp"

#include <map>

#include "preimage/base/utf8.hpp"
#include "tokenizer/characters.hpp"
#include "tokenizer/component.hpp"
#include "tokenizer/model.hpp"
#include "tokenizer/pre_tokenizer.hpp"

namespace preimage::text {
namespace {

// Ids before and after the sequence; repeated sequences ("$A $A") are refused on reading.
class Frame : public PostProcessor {
 public:
  Frame(std::vector<int64_t> before, std::vector<int64_t> after)
      : before_(std::move(before)), after_(std::move(after)) {}
  void add_special(std::vector<int64_t>& ids) const override {
    ids.insert(ids.begin(), before_.begin(), before_.end());
    ids.insert(ids.end(), after_.begin(), after_.end());
  }

 private:
  std::vector<int64_t> before_, after_;
};

// A space, as a token writes it: white space, or the byte alphabet's letter for it.
bool shows_space(char32_t c) {
  return c == 0x120 || is_white_space(c);
}

// Takes the spaces at the ends of tokens out of their offsets; the one that the pre-tokenizer put
// in front of the text never was in it.
void trim_spaces(std::string_view text, std::vector<TokenPlace>& places, bool prefix_space) {
  for (size_t i = 0; i < places.size(); ++i) {
    auto& [token, span] = places[i];
    const auto letters = base::decode_utf8(token);
    size_t leading = 0, trailing = 0;
    while (leading < letters.size() && shows_space(letters[leading])) ++leading;
    while (trailing < letters.size() && shows_space(letters[letters.size() - 1 - trailing]))
      ++trailing;
    if (leading == 1 && prefix_space && (i == 0 || span.begin == 0)) leading = 0;
    for (; leading > 0 && span.begin < span.end; --leading) {
      char32_t c = 0;
      span.begin += next_character(text, span.begin, c);
    }
    for (; trailing > 0 && span.begin < span.end; --trailing) {
      do --span.end;
      while ((static_cast<uint8_t>(text[span.end]) & 0xC0) == 0x80);
    }
  }
}

// ByteLevel and RobertaProcessing: a frame, and spaces that belong to no token.
class Trimming : public PostProcessor {
 public:
  Trimming(std::unique_ptr<const PostProcessor> frame, const base::JsonNode& node)
      : frame_(std::move(frame)),
        trims_(node.boolean_or("trim_offsets", true)),
        prefix_space_(node.boolean_or("add_prefix_space", true)) {}
  void add_special(std::vector<int64_t>& ids) const override { frame_->add_special(ids); }
  void trim(std::string_view text, std::vector<TokenPlace>& places) const override {
    if (trims_) trim_spaces(text, places, prefix_space_);
  }

 private:
  std::unique_ptr<const PostProcessor> frame_;
  bool trims_, prefix_space_;
};

class PostProcessorSequence : public PostProcessor {
 public:
  explicit PostProcessorSequence(std::vector<std::unique_ptr<const PostProcessor>> stages)
      : stages_(std::move(stages)) {}
  void add_special(std::vector<int64_t>& ids) const override {
    for (const auto& stage : stages_) stage->add_special(ids);
  }
  void trim(std::string_view text, std::vector<TokenPlace>& places) const override {
    for (const auto& stage : stages_) stage->trim(text, places);
  }

 private:
  std::vector<std::unique_ptr<const PostProcessor>> stages_;
};

using Made = std::unique_ptr<const PostProcessor>;

Made make_template(const base::JsonNode& node) {
  const auto single = node.at("single");
  const auto names = node.at("special_tokens");
  std::vector<int64_t> before, after;
  bool seen = false;
  for (size_t i = 0; i < single.size(); ++i) {
    const auto part = single.at(i);
    if (part.find("Sequence")) {
      if (seen) part.fail("the sequence appears twice, expected once");
      seen = true;
      continue;
    }
    const auto name = part.at("SpecialToken").at("id");
    const auto ids = names.at(name.string()).at("ids");
    auto& side = seen ? after : before;
    for (size_t k = 0; k < ids.size(); ++k) side.push_back(ids.at(k).integer(0, kMaxTokenId));
  }
  if (!seen) single.fail("holds no \"Sequence\"; the text would be lost");
  return std::make_unique<Frame>(std::move(before), std::move(after));
}

// BertProcessing and RobertaProcessing: cls A sep.
Made make_bert(const base::JsonNode& node) {
  return std::make_unique<Frame>(
      std::vector<int64_t>{node.at("cls").at(size_t{1}).integer(0, kMaxTokenId)},
      std::vector<int64_t>{node.at("sep").at(size_t{1}).integer(0, kMaxTokenId)});
}

Made make_sequence(const base::JsonNode& node) {
  const auto list = node.at("processors");
  std::vector<Made> stages;
  for (size_t i = 0; i < list.size(); ++i) stages.push_back(make_post_processor(list.at(i)));
  return std::make_unique<PostProcessorSequence>(std::move(stages));
}

Made make_roberta(const base::JsonNode& node) {
  return std::make_unique<Trimming>(make_bert(node), node);
}

// Moves offsets only.
Made make_byte_level(const base::JsonNode& node) {
  return std::make_unique<Trimming>(
      std::make_unique<Frame>(std::vector<int64_t>{}, std::vector<int64_t>{}), node);
}

}  // namespace

Made make_post_processor(const base::JsonNode& node) {
  static const ComponentTable<PostProcessor> table = {
      {"BertProcessing", make_bert},         {"ByteLevel", make_byte_level},
      {"RobertaProcessing", make_roberta},   {"Sequence", make_sequence},
      {"TemplateProcessing", make_template},
  };
  return make_component(table, node, "post-processor");
}

}  // namespace preimage::text
