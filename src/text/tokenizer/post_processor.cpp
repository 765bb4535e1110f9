#include "tokenizer/post_processor.hpp"

#include <map>

#include "tokenizer/component.hpp"
#include "tokenizer/model.hpp"

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

class PostProcessorSequence : public PostProcessor {
 public:
  explicit PostProcessorSequence(std::vector<std::unique_ptr<const PostProcessor>> stages)
      : stages_(std::move(stages)) {}
  void add_special(std::vector<int64_t>& ids) const override {
    for (const auto& stage : stages_) stage->add_special(ids);
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

// Moves offsets only.
Made make_byte_level(const base::JsonNode&) {
  return std::make_unique<Frame>(std::vector<int64_t>{}, std::vector<int64_t>{});
}

}  // namespace

Made make_post_processor(const base::JsonNode& node) {
  static const ComponentTable<PostProcessor> table = {
      {"BertProcessing", make_bert},         {"ByteLevel", make_byte_level},
      {"RobertaProcessing", make_bert},      {"Sequence", make_sequence},
      {"TemplateProcessing", make_template},
  };
  return make_component(table, node, "post-processor");
}

}  // namespace preimage::text
