#include "engine.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/encoder/sentence_pipeline.hpp"
#include "preimage/store/inspect.hpp"
#include "preimage/text/generation_config.hpp"

namespace preimage::tools {

void Engine::prepare() {
  if (!std::filesystem::is_directory(options_.model)) {
    throw base::config_error(options_.model.string() +
                             ": no such folder; --model expects a checkpoint folder");
  }
  folder_ = lm::transformer_folder(options_.model);
  lm::require_supported(folder_, use_);
  if (seq2seq_.prepare(folder_)) {
    config_ = seq2seq_.token_config();
  } else if (lm::is_encoder_folder(folder_)) {
    const auto encoder = lm::read_encoder_config(folder_);
    config_.family = encoder.family;
    config_.hidden_size = encoder.hidden_size;
    config_.vocab_size = encoder.vocab_size;
    config_.max_position_embeddings = encoder.max_tokens;
    config_.notes = encoder.notes;
  } else {
    config_ = lm::read_model_config(folder_, options_.context);
  }
  if (!text::has_tokenizer(folder_)) return;
  tokenizer_ = text::load_tokenizer(folder_);
}

std::vector<std::string> Engine::warnings() const {
  auto out = conversations_.warnings();
  if (!tokenizer_) return out;
  out.insert(out.begin(), tokenizer_->warnings().begin(), tokenizer_->warnings().end());
  if (tokenizer_->plain_id_limit() > config_.vocab_size) {
    out.push_back(base::str(folder_.string(), ": its tokenizer has ids up to ",
                            tokenizer_->plain_id_limit() - 1, ", config.json says vocab_size ",
                            config_.vocab_size,
                            "; a text with an id beyond is refused. Do they belong together?"));
  }
  return out;
}

std::vector<std::string> Engine::generation_warnings() const {
  auto out = warnings();
  const auto generation = text::read_generation_config(folder_);
  const auto place = (folder_ / "generation_config.json").string();
  if (!generation.settings.empty()) {
    out.push_back(place + " asks for " + base::join(generation.settings, ", ") +
                  ": not taken; each line says for itself how it is generated");
  }
  if (generation.here && generation.eos.empty()) {
    out.push_back(place +
                  " names no end token, so nothing but a line's own stop or max_new_tokens "
                  "ends a completion, as in transformers");
  }
  return out;
}

lm::LoadOptions Engine::load_options(c10::Device device) const {
  return {.dtype = options_.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat,
          .device = device,
          .weights = lm::parse_weight_format(options_.weights),
          .adapter = options_.adapter,
          .context = options_.context};
}

void Engine::load(c10::Device device) {
  const auto options = load_options(device);
  if (seq2seq_.here()) {
    if (options.weights != lm::WeightFormat::decoded || !options.adapter.empty())
      throw base::config_error("--weights and --adapter are for decoders, " +
                               options_.model.string() + " is a T5");
    seq2seq_.load(options);
  } else {
    model_ = lm::load_model(folder_, options);
  }
}

std::vector<std::string> Engine::notes() const {
  return model_ ? model_->config().notes : config_.notes;
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
    given_text->fail(
        base::str("is text, but ", folder_.string(), " has no tokenizer; give \"", ids, "\""));
  return known(*given_text, tokenizer_->encode(words, {.add_special = add_special}));
}

std::vector<int64_t> Engine::known(const base::JsonNode& place, std::vector<int64_t> ids) const {
  for (const int64_t id : ids) {
    if (id < config_.vocab_size) continue;
    place.fail(base::str("holds the token \"", tokenizer_->id_to_token(id).value_or("?"),
                         "\" with id ", id, ", but the model's vocabulary ends at ",
                         config_.vocab_size - 1));
  }
  return ids;
}

std::optional<std::vector<int64_t>> Engine::prompt_tokens(const base::JsonNode& line,
                                                          std::string_view raw) const {
  if (!line.find("messages"))
    return tokens(line, "prompt", "prompt_ids", options_.add_special || seq2seq_.here());
  if (line.find("prompt") || line.find("prompt_ids"))
    line.fail("found both \"messages\" and a prompt, expected one of them");
  if (!tokenizer_)
    line.fail("\"messages\" need a tokenizer.json in the checkpoint; give \"prompt_ids\"");
  const auto text = conversations_.prompt(folder_, line, raw, /*answer_next=*/true);
  return known(line, tokenizer_->encode(text));
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
