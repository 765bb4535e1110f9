#include "preimage/eval/evaluation.hpp"

#include <cmath>
#include <limits>

#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "preimage/lm/checkpoint/checkpoint_identity.hpp"

namespace preimage::eval {
namespace {

constexpr size_t kKeyDigits = 32;

std::string files_hash(const std::filesystem::path& folder, const std::vector<std::string>& files) {
  base::Sha256 all;
  for (const auto& file : files) {  // each below the folder, whose own name is no part of this
    const auto name = std::filesystem::path(file).lexically_relative(folder).string();
    all.update(name + " " + base::sha256_hex_of_file(file) + "\n");
  }
  const auto digest = all.finish();
  return base::hex(digest.data(), digest.size());
}

bool holds_template(const std::string& file) {
  return file.find("chat_template") != std::string::npos ||
         std::filesystem::path(file).filename() == "tokenizer_config.json";
}

// What changes no token of a greedy answer is no part of its key.
base::Json sampling_json(const lm::SamplingOptions& s) {
  base::Json json = {{"temperature", s.temperature},
                     {"repetition_penalty", s.repetition_penalty},
                     {"no_repeat_ngram", s.no_repeat_ngram}};
  if (s.greedy()) return json;
  json.update({{"top_k", s.top_k}, {"top_p", s.top_p}, {"min_p", s.min_p}, {"seed", s.seed}});
  return json;
}

// JSON has no word for numbers that are not finite.
base::Json number(double value) {
  return std::isfinite(value) ? base::Json(value) : base::Json(base::shortest(value));
}

double number_of(const base::Json& json) {
  if (json.is_number()) return json.get<double>();
  const auto& word = json.get_ref<const std::string&>();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return word == "inf" ? kInfinity
                       : (word == "-inf" ? -kInfinity : std::numeric_limits<double>::quiet_NaN());
}

base::Json answer_json(const Answer& answer, bool completions) {
  base::Json json = {{"stop", answer.stop},
                     {"tokens", answer.tokens},
                     {"hash", answer.hash},
                     {"logprob_sum", number(answer.logprob_sum)},
                     {"margin", number(answer.margin)},
                     {"terms", answer.terms}};
  if (completions) json.update({{"ids", answer.ids}, {"text", base::escape_text(answer.text)}});
  return json;
}

Answer answer_of(const base::Json& json) {
  Answer answer;
  answer.stop = json.at("stop");
  answer.tokens = json.at("tokens");
  answer.hash = json.at("hash");
  answer.logprob_sum = number_of(json.at("logprob_sum"));
  answer.margin = number_of(json.at("margin"));
  answer.terms = json.at("terms");
  if (const auto ids = json.find("ids"); ids != json.end()) {
    answer.ids = ids->get<std::vector<int64_t>>();
    answer.text = base::unescape_text(json.at("text").get_ref<const std::string&>());
  }
  return answer;
}

}  // namespace

ModelIdentity model_identity(const std::filesystem::path& folder, const lm::LoadOptions& options,
                             bool chat) {
  ModelIdentity out{.model = folder.filename().empty() ? folder.parent_path().filename().string()
                                                       : folder.filename().string(),
                    .dtype = c10::toString(options.dtype),
                    .format = lm::weight_format_name(options.weights)};
  const auto files = lm::checkpoint_identity(folder);
  out.weights = files_hash(folder, files);
  if (!options.adapter.empty()) {
    out.weights = base::sha256_hex(
        out.weights + files_hash(options.adapter, lm::checkpoint_identity(options.adapter)));
  }
  if (chat) {
    std::vector<std::string> templates;
    for (const auto& file : files) {
      if (holds_template(file)) templates.push_back(file);
    }
    out.templates = files_hash(folder, templates);
  }
  return out;
}

std::string evaluation_key(const ModelIdentity& model, const PromptRequest& request) {
  base::Json stop = base::Json::array();
  for (const auto& text : request.stop) stop.push_back(base::escape_text(text));
  const base::Json whole = {
      {"model", {model.model, model.weights, model.dtype, model.format, model.templates}},
      {"prompt", request.prompt},
      {"target", base::escape_text(request.target)},
      {"n", request.n},
      {"max_new_tokens", request.max_new_tokens},
      {"stop_ids", request.stop_ids},
      {"stop", stop},
      {"sampling", sampling_json(request.sampling)},
      {"target_ids", request.target_ids}};
  return base::sha256_hex(base::canonical(whole)).substr(0, kKeyDigits);
}

base::Json to_json(const Evaluation& evaluation, bool completions) {
  base::Json json = {{"key", evaluation.key}, {"answers", base::Json::array()}};
  for (const auto& answer : evaluation.answers)
    json["answers"].push_back(answer_json(answer, completions));
  if (!evaluation.has_nll) return json;
  json["nll"] = number(evaluation.nll);
  json["target_greedy"] = evaluation.target_greedy;
  if (!completions) return json;
  auto& each = json["target_nll"] = base::Json::array();
  for (const float value : evaluation.target_nll) each.push_back(number(value));
  return json;
}

Evaluation evaluation_from_json(const base::Json& json) {
  Evaluation out;
  out.key = json.at("key");
  for (const auto& answer : json.at("answers")) out.answers.push_back(answer_of(answer));
  out.has_nll = json.contains("nll");
  if (!out.has_nll) return out;
  out.nll = number_of(json.at("nll"));
  out.target_greedy = json.at("target_greedy");
  if (const auto each = json.find("target_nll"); each != json.end()) {
    for (const auto& value : *each) out.target_nll.push_back(static_cast<float>(number_of(value)));
  }
  return out;
}

}  // namespace preimage::eval
