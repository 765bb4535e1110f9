#include <optional>

#include "conversation.hpp"
#include "preimage/base/error.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "tools.hpp"

namespace preimage::tools {
namespace {

class Tokenize : public LineTool {
 public:
  explicit Tokenize(const TokenizeOptions& options) : options_(options) {}

  std::vector<std::string> input_fields() const override { return Conversations::fields(); }
  std::vector<std::string> output_fields() const override { return {"text", "ids"}; }

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

  void load(c10::Device) override {}

  std::vector<Outputs> run(const std::vector<size_t>& indices) override {
    std::vector<Outputs> out;
    for (const size_t i : indices) out.push_back({std::move(outputs_[i])});
    return out;
  }

 private:
  // The template writes the special tokens, so none are added.
  base::Json conversation(const base::JsonNode& line, std::string_view raw) {
    auto text = conversations_.text(options_.model, line, raw, false);
    auto ids = tokenizer_->encode(text);
    return {{"text", std::move(text)}, {"ids", std::move(ids)}};
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

}  // namespace preimage::tools
