#include "ips.hpp"
#include "method.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "arms/operators.hpp"
#include "arms/token_swaps.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/eval/sandbox_judge.hpp"
#include "preimage/lm/adapter/live_adapter.hpp"
#include "preimage/lm/checkpoint/checkpoint_identity.hpp"
#include "preimage/lm/shared_model.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/recorder.hpp"
#include "search.hpp"

namespace preimage::ips {
namespace {

namespace fs = std::filesystem;
using base::str;

lm::LoadOptions load_options(const ModelConfig& config, at::Device device) {
  return {.dtype = config.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat,
          .device = device,
          .weights = lm::parse_weight_format(config.weights),
          .adapter = config.adapter,
          .context = config.context};
}

TargetOptions target_options(const IpsConfig& config, int64_t end_id) {
  return {config.data.only,           config.data.limit,   config.data.most_ratio,
          config.data.corridor_ratio, config.model.answer, end_id};
}

Lexicon read_lexicon(const DataConfig& config) {
  Lexicon out{read_phrases(config.templates), read_phrases(config.words), {}};
  for (const auto& line : out.templates) {
    if (line.find("{words}") == std::string::npos)
      throw base::data_error(str(config.templates, ": found template \"", line,
                                 "\", expected {words} where words are to stand"));
  }
  for (const auto& line : read_phrases(config.synonyms)) {
    out.synonyms.push_back(split_words(line));
    if (out.synonyms.back().size() < 2)
      throw base::data_error(str(config.synonyms, ": found a line with \"", line,
                                 "\" alone, expected two words or more that say the same"));
  }
  return out;
}

// Before a model is loaded: what a policy of preferences would adapt is there.
void require_adaptable(const IpsConfig& config) {
  const auto& methods = config.search.methods;
  if (std::find(methods.begin(), methods.end(), "dpo") == methods.end()) return;
  const auto modules =
      lm::adaptable_modules(lm::read_model_config(config.model.dir, config.model.context));
  for (const auto& target : config.dpo.training.adapter.targets) {
    const auto fits = [&](const std::string& module) {
      return module == target || module.ends_with("." + target);
    };
    if (!std::any_of(modules.begin(), modules.end(), fits))
      throw base::config_error(str("\"dpo.targets\": found \"", target,
                                   "\", which names no linear layer of ", config.model.dir,
                                   "; one is \"", modules.back(), "\""));
  }
}

// Of each target: prompts by hand of the others, so that no search begins at its end.
std::vector<PromptSource> prompt_sources(const Setup& setup) {
  const auto lexicon = read_lexicon(setup.config.data);
  std::vector<PromptSource> out;
  for (int64_t t = 0; t < std::ssize(setup.targets); ++t) {
    std::vector<std::string> hand;
    for (const auto& one : setup.hand) {
      if (one.target != t) hand.push_back(one.text);
    }
    out.emplace_back(lexicon, std::move(hand));
  }
  return out;
}

void measure_unrelated(Setup& setup) {
  std::vector<std::string> programs, prompts;
  for (const auto& target : setup.targets) programs.push_back(target.normal);
  for (const auto& one : setup.hand) prompts.push_back(one.text);
  setup.target_vectors = (*setup.embedding)(programs);
  const auto vectors = (*setup.embedding)(prompts);
  double sum = 0;
  for (size_t i = 0; i < vectors.size(); ++i) {
    const auto& own = setup.targets[static_cast<size_t>(setup.hand[i].target)];
    for (size_t t = 0; t < setup.targets.size(); ++t) {
      if (static_cast<int64_t>(t) == setup.hand[i].target ||
          setup.targets[t].language != own.language)
        continue;
      sum += cosine(vectors[i], setup.target_vectors[t]);
      ++setup.unrelated_pairs;
    }
  }
  if (setup.unrelated_pairs > 0) setup.unrelated = sum / static_cast<double>(setup.unrelated_pairs);
}

}  // namespace

std::vector<std::string> Ips::identity_files() const {
  std::set<std::string> files = {config_.data.targets, config_.data.words, config_.data.templates,
                                 config_.data.synonyms};
  if (!config_.data.hand.empty()) files.insert(config_.data.hand);
  for (const auto& folder : {config_.model.dir, config_.model.adapter, config_.diversity.encoder}) {
    if (folder.empty()) continue;
    for (auto& file : lm::checkpoint_identity(folder)) files.insert(std::move(file));
  }
  return {files.begin(), files.end()};
}

run::Estimate Ips::estimate() {
  run::Estimate out;
  require_adaptable(config_);
  read_lexicon(config_.data);
  const auto tokenizer = text::load_tokenizer(config_.model.dir);
  const auto targets = read_targets(config_.data.targets, tokenizer, target_options(config_, -1));
  const auto hand = config_.data.hand.empty() ? std::vector<HandPrompt>()
                                              : read_hand_prompts(config_.data.hand, targets);
  double target_tokens = 0, prompt_tokens = 0;
  for (const auto& target : targets) {
    target_tokens += static_cast<double>(target.ids.size());
    prompt_tokens += static_cast<double>(target.most_tokens);
  }
  const double searches = static_cast<double>(config_.search.methods.size()) *
                          static_cast<double>(config_.search.seeds);
  const double calls = searches * static_cast<double>(config_.search.calls);
  out.units = static_cast<int64_t>(calls * static_cast<double>(targets.size())) +
              std::ssize(targets) + std::ssize(hand);
  // An answer, and the loss of the target behind the prompt.
  out.model_calls = 2 * static_cast<double>(out.units);
  out.tokens = calls * (2 * target_tokens + 2 * prompt_tokens);
  const auto model = lm::read_model_config(config_.model.dir, config_.model.context);
  out.flop = 2 * static_cast<double>(model.active_parameters()) * out.tokens;
  out.bytes_per_worker = lm::weight_bytes(model, load_options(config_.model, at::kCPU));
  out.notes = {str(targets.size(), " targets, ", hand.size(), " prompts by hand"),
               str(static_cast<int64_t>(searches) * std::ssize(targets), " searches of at most ",
                   config_.search.calls, " calls; one that succeeds ends earlier")};
  return out;
}

std::unique_ptr<run::Search> Ips::make_search(run::Context& context) {
  require_adaptable(config_);
  const auto options = load_options(config_.model, context.device());
  auto setup = std::make_unique<Setup>(
      Setup{.config = config_,
            .seed = context.seed(),
            .model = eval::load_text_model(config_.model.dir,
                                           lm::shared_model(context, config_.model.dir, options),
                                           config_.model.chat),
            .identity = eval::model_identity(config_.model.dir, options, config_.model.chat)});
  auto& s = *setup;
  s.stop_ids = eval::stop_ids(s.model);
  s.targets = read_targets(config_.data.targets, s.model.tokenizer,
                           target_options(config_, s.stop_ids.empty() ? -1 : s.stop_ids.front()));
  require_context(s);
  if (!config_.data.hand.empty()) s.hand = read_hand_prompts(config_.data.hand, s.targets);
  s.prompts = prompt_sources(s);
  s.readable = readable_tokens(s.model.tokenizer);
  std::shared_ptr<const TextEncoder> encoder;
  if (const auto& folder = config_.diversity.encoder; !folder.empty())
    encoder = context.shared<TextEncoder>(
        "ips text encoder " + folder, [&] { return load_text_encoder(folder, context.device()); });
  s.embedding.emplace(s.model, std::move(encoder));
  measure_unrelated(s);
  s.judge =
      eval::sandbox_judge(context, config_.sandbox, [&context](const base::Json& description) {
        context.recorder().describe_start("sandbox", description);
      });
  if (context.world().root()) {
    for (const auto& warning : s.model.tokenizer.warnings()) context.log().warn(warning);
    context.log().info(str(s.targets.size(), " targets, ", s.hand.size(),
                           " prompts by hand; mean cosine of ", s.unrelated_pairs,
                           " unrelated pairs ", s.unrelated));
  }
  return std::make_unique<IpsSearch>(context, std::move(setup));
}

std::unique_ptr<run::Experiment> make_method() {
  return std::make_unique<Ips>();
}

}  // namespace preimage::ips
