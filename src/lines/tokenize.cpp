#include "preimage/lines/tokenize.hpp"

#include <optional>

#include "preimage/base/error.hpp"
#include "preimage/lines/conversation.hpp"
#include "preimage/lines/jsonl.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::lines {
namespace {

class Tokenize : public LineTool {
 public:
  explicit Tokenize(const TokenizeOptions& options) : options_(options) {}

  std::string name() const override { return "tokenize"; }
  std::vector<std::string> input_fields() const override {
    auto names = Conversations::fields();
    names.insert(names.end(), {"text", "ids"});
    return names;
  }
  std::vector<std::string> output_fields() const override {
    return {"text", "ids", "assistant_masks"};
  }

  void prepare(size_t lines) override {
    if (!std::filesystem::is_directory(options_.model)) {
      throw base::config_error(options_.model.string() +
                               ": no such folder; --model expects a checkpoint folder");
    }
    tokenizer_ = text::load_tokenizer(options_.model);
    outputs_.resize(lines);
  }

  void read(size_t index, const base::JsonNode& line, std::string_view raw) override {
    const auto text = line.find("text"), ids = line.find("ids"), messages = line.find("messages");
    const int given = int{text.has_value()} + int{ids.has_value()} + int{messages.has_value()};
    if (given != 1) {
      line.fail(given == 0 ? "found no \"text\", \"ids\" or \"messages\", expected one"
                           : "found several of \"text\", \"ids\" and \"messages\", expected one");
    }
    if (messages) {
      outputs_[index] = conversation(line, raw);
    } else if (text) {
      outputs_[index] = {
          {"ids", tokenizer_->encode(text->string(), {.add_special = options_.add_special})}};
    } else {
      outputs_[index] = {{"text", tokenizer_->decode(integers(*ids, tokenizer_->id_limit()),
                                                     {.skip_special = options_.skip_special})}};
    }
  }

  std::vector<std::string> warnings() const override {
    auto out = tokenizer_->warnings();
    const auto more = conversations_.warnings();
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  void load(const std::string&) override {}

  void run(const std::vector<size_t>& indices, Results& results) override {
    for (size_t i = 0; i < indices.size(); ++i) results.done(i, {std::move(outputs_[indices[i]])});
  }

 private:
  // The template writes the special tokens, so none are added.
  base::Json conversation(const base::JsonNode& line, std::string_view raw) {
    auto chat = conversations_.rendered(options_.model, line, raw, false);
    if (!chat.wants_mask) {
      auto ids = tokenizer_->encode(chat.text);
      return {{"text", std::move(chat.text)}, {"ids", std::move(ids)}};
    }
    const auto encoding = tokenizer_->encode_with_offsets(chat.text);
    return {{"text", std::move(chat.text)},
            {"ids", encoding.ids},
            {"assistant_masks", assistant_mask(encoding, chat.generated)}};
  }

  TokenizeOptions options_;
  std::optional<text::Tokenizer> tokenizer_;
  Conversations conversations_;
  std::vector<base::Json> outputs_;
};

}  // namespace

std::unique_ptr<LineTool> make_tokenize(const TokenizeOptions& options) {
  return std::make_unique<Tokenize>(options);
}

}  // namespace preimage::lines
