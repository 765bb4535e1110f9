#include "setup.hpp"

#include <algorithm>

#include "arms/operators.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::ips {
namespace {

std::string with_prompt(const std::string& pattern, const std::string& prompt) {
  const auto at = pattern.find("{prompt}");
  base::check(at != std::string::npos, "IpsConfig::check asks for {prompt}");
  return pattern.substr(0, at) + prompt + pattern.substr(at + 8);
}

}  // namespace

ModelInput model_input(const Setup& setup, const std::string& prompt) {
  const auto& c = setup.config.model;
  const auto text = with_prompt(c.pattern, prompt);
  const auto own = prompt_tokens(setup.model.tokenizer, prompt);
  ModelInput out;
  out.ids = setup.model.chat ? eval::prompt_ids(setup.model, text, c.system)
                             : setup.model.tokenizer.encode(text, {.parse_special = false});
  out.prompt_tokens = std::ssize(own);
  // The last place: a system message before it may hold the same words.
  const auto place = std::find_end(out.ids.begin(), out.ids.end(), own.begin(), own.end());
  if (place != out.ids.end() && !own.empty()) out.prompt_begin = place - out.ids.begin();
  if (!c.answer_start.empty()) {
    const auto start = setup.model.tokenizer.encode(c.answer_start);
    out.ids.insert(out.ids.end(), start.begin(), start.end());
  }
  return out;
}

int64_t answer_limit(const Setup& setup, const Target& target) {
  return std::ssize(target.answer_ids) * 5 / 4 + setup.config.generation.spare_tokens;
}

int64_t longest_sequence(const Setup& setup, const Target& target) {
  const auto copy = model_input(setup, "Print this code exactly:\n\n" + target.code);
  return std::ssize(copy.ids) + answer_limit(setup, target) + 1;
}

void require_context(const Setup& setup) {
  const int64_t model = setup.model.model->config().max_position_embeddings;
  for (const auto& target : setup.targets) {
    const int64_t needed = longest_sequence(setup, target);
    const int64_t most = std::min(setup.config.model.context, model);
    if (needed <= most) continue;
    throw base::data_error(base::str(
        setup.config.data.targets, ": target \"", target.id,
        "\": with a prompt that holds it and its answer it needs ", needed, " tokens, ",
        most == model ? "the model's context holds " : "model.context is ", most,
        ": leave it out with data.only", most == model ? "" : ", or raise model.context"));
  }
}

int64_t start_id(const eval::TextModel& model) {
  const auto& special = model.tokenizer.special();
  if (special.bos) return *special.bos;
  if (special.eos) return *special.eos;
  const auto stops = eval::stop_ids(model);
  base::check(!stops.empty(), "a model names a token that begins or ends a text");
  return stops.front();
}

}  // namespace preimage::ips
