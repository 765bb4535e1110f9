#include "engine.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/store/inspect.hpp"

namespace preimage::tools {

void Engine::prepare() {
  if (!std::filesystem::is_directory(options_.model)) {
    throw base::config_error(options_.model.string() +
                             ": no such folder; --model expects a checkpoint folder");
  }
  if (seq2seq_.prepare(options_.model)) {
    config_ = seq2seq_.token_config();
  } else if (lm::is_encoder_folder(options_.model)) {
    const auto encoder = lm::read_encoder_config(options_.model);
    config_.family = encoder.family;
    config_.hidden_size = encoder.hidden_size;
    config_.vocab_size = encoder.vocab_size;
    config_.max_position_embeddings = encoder.max_tokens;
  } else {
    config_ = lm::read_model_config(options_.model);
  }
  if (!text::has_tokenizer(options_.model)) return;
  tokenizer_ = text::load_tokenizer(options_.model);
  if (tokenizer_->id_limit() > config_.vocab_size) {
    throw base::data_error(base::str(options_.model.string(), ": its tokenizer has ids up to ",
                                     tokenizer_->id_limit() - 1, ", config.json says vocab_size ",
                                     config_.vocab_size, "; they belong to different models"));
  }
}

void Engine::load(c10::Device device) {
  const auto dtype = options_.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  const lm::LoadOptions options{.dtype = dtype,
                                .device = device,
                                .weights = lm::parse_weight_format(options_.weights),
                                .adapter = options_.adapter};
  if (seq2seq_.here()) {
    if (options.weights != lm::WeightFormat::decoded || !options.adapter.empty())
      throw base::config_error("--weights and --adapter are for decoders, " +
                               options_.model.string() + " is a T5");
    seq2seq_.load(options);
  } else {
    model_ = lm::load_model(options_.model, options);
  }
}

std::vector<int64_t> integers(const base::JsonNode& node, int64_t limit) {
  std::vector<int64_t> out(node.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = node.at(i).integer(0, limit - 1);
  return out;
}

std::optional<std::vector<int64_t>> Engine::tokens(const base::JsonNode& line,
                                                   const std::string& text, const std::string& ids,
                                                   bool add_special) const {
  const auto given_text = line.find(text), given_ids = line.find(ids);
  if (given_text && given_ids)
    line.fail(base::str("found both \"", text, "\" and \"", ids, "\", expected one of them"));
  if (given_ids) return integers(*given_ids, config_.vocab_size);
  if (!given_text) return std::nullopt;
  const auto& words = given_text->string();
  if (!tokenizer_)
    given_text->fail(base::str("is text, but ", options_.model.string(),
                               " has no tokenizer; give \"", ids, "\""));
  return tokenizer_->encode(words, {.add_special = add_special});
}

std::optional<std::vector<int64_t>> Engine::prompt_tokens(const base::JsonNode& line,
                                                          std::string_view raw) const {
  if (!line.find("messages"))
    return tokens(line, "prompt", "prompt_ids", options_.add_special || seq2seq_.here());
  if (line.find("prompt") || line.find("prompt_ids"))
    line.fail("found both \"messages\" and a prompt, expected one of them");
  if (!tokenizer_)
    line.fail("\"messages\" need a tokenizer.json in the checkpoint; give \"prompt_ids\"");
  return tokenizer_->encode(conversations_.text(options_.model, line, raw, /*answer_next=*/true));
}

Stops Engine::stops(const base::JsonNode& line) const {
  Stops out;
  if (const auto stop = line.find("stop")) {
    if (stop->json().is_string()) {
      out.strings.push_back(stop->string());
    } else {
      for (size_t i = 0; i < stop->size(); ++i) out.strings.push_back(stop->at(i).string());
    }
    if (std::find(out.strings.begin(), out.strings.end(), "") != out.strings.end())
      stop->fail("found an empty stop string");
    if (!out.strings.empty() && !tokenizer_)
      stop->fail("needs a tokenizer.json in the checkpoint; give \"stop_ids\"");
  }
  if (const auto ids = line.find("stop_ids")) out.ids = integers(*ids, config_.vocab_size);
  if (!line.boolean_or("ignore_eos", false))
    out.ids.insert(out.ids.end(), config_.eos_ids.begin(), config_.eos_ids.end());
  return out;
}

at::Tensor Engine::stored_vectors(const base::JsonNode& reference) const {
  store::TensorValues stored;
  try {
    const std::scoped_lock lock(store_mutex_);
    stored = store::read_tensor(store::parse_tensor_reference(reference.string()));
  } catch (const base::Error& error) {
    if (error.code() != base::ExitCode::bad_data) throw;
    reference.fail(error.what());
  }
  if (stored.shape.size() == 1) stored.shape.insert(stored.shape.begin(), 1);
  if (stored.shape.size() != 2 || stored.shape[0] == 0 || stored.shape[1] != config_.hidden_size) {
    std::vector<std::string> sizes;
    for (const int64_t size : stored.shape) sizes.push_back(std::to_string(size));
    reference.fail(base::str("found a tensor [", base::join(sizes, ", "), "], expected [tokens, ",
                             config_.hidden_size, "]; name one row, as in F.h5:dcm/embeddings[0]"));
  }
  for (const float value : stored.values) {
    if (!std::isfinite(value)) reference.fail("holds numbers that are not finite");
  }
  return at::tensor(stored.values, at::kFloat).view({stored.shape[0], stored.shape[1]});
}

at::Tensor Engine::soft_prompt(const base::JsonNode& line) const {
  const auto given = line.find("soft_prompt");
  if (!given) return {};
  if (!given->json().is_array()) return stored_vectors(*given);
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < given->size(); ++i) parts.push_back(stored_vectors(given->at(i)));
  if (parts.empty()) given->fail("is an empty list, expected references to stored vectors");
  return at::cat(parts);
}

}  // namespace preimage::tools
