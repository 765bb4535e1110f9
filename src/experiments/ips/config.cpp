#include "config.hpp"

#include <filesystem>

#include "arms/make_arm.hpp"
#include "preimage/base/config_paths.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/model.hpp"

namespace preimage::ips {
namespace {

namespace fs = std::filesystem;
using base::require_file;
using base::str;
constexpr auto placement = base::FieldRole::placement;

}  // namespace

void ModelConfig::fields(base::Fields& f) {
  f.add("dir", dir, {.help = "checkpoint folder of the frozen model", .required = true});
  f.add("adapter", adapter, {.help = "folder of a LoRA adapter that is merged; empty: none"});
  f.add("dtype", dtype, {.help = "type of its weights", .choices = {"float32", "bfloat16"}});
  f.add("weights", weights,
        {.help = "how its matrices are kept",
         .choices = {"decoded", "stored", "int8", "fp8", "fp8_w8a8"}});
  f.add("chat", chat, {.help = "prompts are messages of the checkpoint's chat template"});
  f.add("system", system, {.help = "system message before them; empty: the template's own"});
  f.add("pattern", pattern,
        {.help = "the user's message, or without a template all that is read, with {prompt}"});
  f.add("answer_start", answer_start,
        {.help = "behind the template: where an answer begins, special tokens recognised"});
  f.add("answer", answer, {.help = "what the model should write of a target, with {code}"});
  f.add("context", context,
        {.help = "tokens of the longest prompt and answer", .unit = "tokens", .min = 16});
}

void DataConfig::fields(base::Fields& f) {
  f.add("targets", targets, {.help = "targets, JSON Lines", .required = true});
  f.add("only", only, {.help = "ids of those that are used; empty: all"});
  f.add("limit", limit, {.help = "the first so many; 0: all", .min = 0});
  f.add("hand", hand, {.help = "prompts by hand, JSON Lines of target and prompt; empty: none"});
  f.add("words", words,
        {.help = "words and phrases that prompts are made of, one a line", .required = true});
  f.add("templates", templates, {.help = "a line each, with {words}", .required = true});
  f.add("synonyms", synonyms, {.help = "groups of words, one a line", .required = true});
  f.add("most_ratio", most_ratio,
        {.help = "a prompt has at most |T| / this many tokens", .min = 1, .max = 1000});
  f.add("corridor_ratio", corridor_ratio,
        {.help = "the plan's corridor goes down to |T| / this; shorter prompts are allowed",
         .min = 1,
         .max = 1000});
}

void GenerationConfig::fields(base::Fields& f) {
  f.add("spare_tokens", spare_tokens,
        {.help = "that an answer may have beyond 5/4 of the target", .unit = "tokens", .min = 1});
  f.add("batch", batch, {.help = "sequences in flight", .min = 1, .max = 1e6, .role = placement});
}

void SearchConfig::fields(base::Fields& f) {
  f.add("methods", methods,
        {.help = "each searches for each target with each seed", .choices = arm_methods()});
  f.add("seeds", seeds, {.help = "searches of each method and target", .min = 1, .max = 1000});
  f.add("calls", calls, {.help = "of the model, that each search may execute", .min = 1});
  f.add("successes", successes,
        {.help = "distinct accepted prompts after which a search ends", .min = 1});
}

void DiversityConfig::fields(base::Fields& f) {
  f.add("least", least, {.help = "accepted prompts of a target that are clustered", .min = 3});
  f.add("most_clusters", most_clusters, {.help = "largest k", .min = 2, .max = 1000});
  f.add("restarts", restarts, {.help = "of k-means", .min = 1, .max = 10000});
  f.add("encoder", encoder,
        {.help = "folder of the text encoder; empty: the frozen model's own hidden states"});
}

void NegativeConfig::fields(base::Fields& f) {
  f.add("run", run, {.help = "try the prompts that must not be accepted"});
  f.add("noise_draws", noise_draws, {.help = "random prompts of each target", .min = 0});
}

void DecisionConfig::fields(base::Fields& f) {
  f.add("simplify", simplify,
        {.help = "S of the best prompt by hand, below which a target is to be dropped",
         .min = 0,
         .max = 1});
  f.add("manual_share", manual_share,
        {.help = "H1: of the targets with an accepted prompt by hand", .min = 0, .max = 1});
  f.add("manual_targets", manual_targets, {.help = "H1: fewer give no verdict", .min = 1});
  f.add("paired_seeds", paired_seeds, {.help = "H2: fewer give no verdict", .min = 1});
  f.add("diverse_share", diverse_share,
        {.help = "H3: of the targets with enough accepted prompts", .min = 0, .max = 1});
  f.add("false_pairs", false_pairs,
        {.help = "accepted prompts that are tried on other targets", .min = 0});
}

void IpsConfig::fields(base::Fields& f) {
  f.group("model", model);
  f.group("data", data);
  f.group("generation", generation);
  f.group("sandbox", sandbox);
  f.add("probes", probes,
        {.help = "calls by which a Python target is compared; 0: programs are not run", .min = 0});
  f.group("fitness", fitness);
  f.group("accept", accept);
  f.group("search", search);
  f.group("ga", ga);
  f.group("propose", propose);
  f.group("swap", swap);
  f.group("rl", rl);
  f.group("dpo", dpo);
  f.group("diversity", diversity);
  f.group("negative", negative);
  f.group("decide", decide);
  f.add("bootstrap_draws", bootstrap_draws, {.help = "resamples of the targets", .min = 100});
}

base::ConfigErrors IpsConfig::check() const {
  base::ConfigErrors errors;
  require_file(errors, "model.dir", fs::path(model.dir) / "config.json");
  if (!model.adapter.empty())
    require_file(errors, "model.adapter", fs::path(model.adapter) / "adapter_config.json");
  require_file(errors, "data.targets", data.targets);
  if (!data.hand.empty()) require_file(errors, "data.hand", data.hand);
  require_file(errors, "data.words", data.words);
  require_file(errors, "data.templates", data.templates);
  require_file(errors, "data.synonyms", data.synonyms);
  if (!diversity.encoder.empty())
    require_file(errors, "diversity.encoder", fs::path(diversity.encoder) / "config.json");
  if (model.pattern.find("{prompt}") == std::string::npos)
    errors.push_back("\"model.pattern\": found no {prompt} in it");
  if (model.answer.find("{code}") == std::string::npos)
    errors.push_back("\"model.answer\": found no {code} in it");
  if (propose.pattern.find("{code}") == std::string::npos)
    errors.push_back("\"propose.pattern\": found no {code} in it");
  if (data.corridor_ratio < data.most_ratio)
    errors.push_back(str("\"data.corridor_ratio\": found ", data.corridor_ratio,
                         ", expected at least data.most_ratio, ", data.most_ratio));
  const auto& w = fitness;
  if (w.lcs + w.edit + w.ast + w.exec + w.nll <= 0)
    errors.push_back("\"fitness\": the weights of similarities are all 0");
  return errors;
}

}  // namespace preimage::ips
