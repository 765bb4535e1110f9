#include "preimage/base/error.hpp"
#include "preimage/text/tokenizer.hpp"
#include "tools.hpp"

namespace preimage::tools {
namespace {

class Tokenize : public LineTool {
 public:
  explicit Tokenize(const TokenizeOptions& options) : options_(options) {}

  std::vector<std::string> input_fields() const override {
    return {"messages", "tools", "add_generation_prompt"};
  }
  std::vector<std::string> output_fields() const override { return {"text", "ids"}; }

  void prepare(size_t lines) override {
    if (!std::filesystem::is_directory(options_.model)) {
      throw base::config_error(options_.model.string() +
                               ": no such folder; --model expects a checkpoint folder");
    }
    tokenizer_ = text::load_tokenizer(options_.model);
    outputs_.resize(lines);
  }

  void read(size_t index, const base::JsonNode& line, std::string_view) override {
    refuse_messages(line);
    const auto text = line.find("text"), ids = line.find("ids");
    if (text.has_value() == ids.has_value()) {
      line.fail(text ? "found both \"text\" and \"ids\", expected one of them"
                     : "found no \"text\" or \"ids\", expected one");
    }
    if (text) {
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
  TokenizeOptions options_;
  std::optional<text::Tokenizer> tokenizer_;
  std::vector<base::Json> outputs_;
};

}  // namespace

std::unique_ptr<LineTool> make_tokenize(const TokenizeOptions& options) {
  return std::make_unique<Tokenize>(options);
}

}  // namespace preimage::tools
