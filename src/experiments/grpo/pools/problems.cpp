#include "problems.hpp"

#include <algorithm>

#include "config.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/eval/program_prompt.hpp"

namespace preimage::grpo {
namespace {

// The prompt with the loophole named: the phrase is there once and becomes another.
std::string hinted(const PromptConfig& config, const std::string& prompt,
                   const std::string& place) {
  if (config.hint_find.empty()) return prompt + config.hint_replace;
  const auto at = prompt.find(config.hint_find);
  if (at == std::string::npos || prompt.find(config.hint_find, at + 1) != std::string::npos)
    throw base::data_error(base::str(place, ": the prompt must hold \"", config.hint_find,
                                     "\" (pools.prompt.hint_find) once, found ",
                                     at == std::string::npos ? "none" : "more"));
  auto out = prompt;
  return out.replace(at, config.hint_find.size(), config.hint_replace);
}

}  // namespace

std::vector<int64_t> policy_prompt(const GrpoConfig& config, const eval::TextModel& model,
                                   const std::string& prompt) {
  if (!model.chat) return model.tokenizer.encode(prompt);
  text::OrderedJson messages = text::OrderedJson::array();
  if (!config.model.system.empty())
    messages.push_back({{"role", "system"}, {"content", config.model.system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  const text::OrderedJson request = {{"messages", messages},
                                     {"add_generation_prompt", true},
                                     {"enable_thinking", config.model.thinking}};
  return model.tokenizer.encode(model.chat->render(request).text);
}

std::optional<int64_t> end_of_answer(const eval::TextModel& model) {
  if (const auto eos = model.tokenizer.special().eos) return eos;
  const auto ends = eval::stop_ids(model);
  return ends.empty() ? std::nullopt : std::optional(ends[0]);
}

Problems load_problems(const GrpoConfig& config, const eval::TextModel& model) {
  const auto& c = config.pools.problems;
  Problems out;
  int64_t seen = 0, long_ones = 0;
  for (auto& source : data::read_programs({.kind = c.kind, .path = c.path})) {
    if (!c.split.empty() && source.split != c.split) continue;
    if (!c.ids.empty() && std::ranges::find(c.ids, source.id) == c.ids.end()) continue;
    const eval::ProgramPrompt pattern{config.pools.prompt.pattern, config.pools.prompt.shown_tests};
    Problem problem;
    problem.prompt = eval::program_prompt(pattern, source);
    problem.hint_prompt = hinted(config.pools.prompt, problem.prompt, source.place);
    if (c.max_prompt_tokens > 0 &&
        std::ssize(policy_prompt(config, model, problem.hint_prompt)) > c.max_prompt_tokens) {
      ++long_ones;
      continue;
    }
    if (seen++ < c.skip || (c.limit > 0 && std::ssize(out.list) == c.limit)) continue;
    problem.source = std::move(source);
    out.list.push_back(std::move(problem));
  }
  if (out.list.empty())
    throw base::data_error(base::str(c.path, ": no problem is left",
                                     c.split.empty() ? "" : " of split " + c.split,
                                     " behind the first ", c.skip));
  out.notes.push_back(base::str(out.list.size(), " of ", seen, " problems; ", long_ones,
                                " more have a prompt of over ", c.max_prompt_tokens, " tokens"));
  return out;
}

}  // namespace preimage::grpo
