#include "preimage/eval/evaluation.hpp"

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

}  // namespace preimage::eval
