#include "config.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "pools/pairs.hpp"
#include "preimage/base/config_paths.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/programs.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "probe/arm.hpp"

namespace preimage::grpo {
namespace {

namespace fs = std::filesystem;
using base::require_file;
using base::str;
constexpr auto placement = base::FieldRole::placement;

void require_distinct(base::ConfigErrors& errors, const char* name,
                      const std::vector<std::string>& words) {
  if (words.empty()) errors.push_back(str("\"", name, "\": names none"));
  if (std::set(words.begin(), words.end()).size() != words.size())
    errors.push_back(str("\"", name, "\": names one twice"));
}

}  // namespace

void ModelConfig::fields(base::Fields& f) {
  f.add("dir", dir, {.help = "checkpoint folder of the policy", .required = true});
  f.add("dtype", dtype, {.help = "type of its weights", .choices = {"float32", "bfloat16"}});
  f.add("chat", chat, {.help = "prompts are messages in the checkpoint's chat template"});
  f.add("system", system, {.help = "system message before them; empty: none"});
  f.add("thinking", thinking, {.help = "the template's variable enable_thinking"});
}

void PromptConfig::fields(base::Fields& f) {
  f.add("pattern", pattern,
        {.help = "what a policy reads, with {text}, {tests}, {starter}, {entry_point}"});
  f.add("hint_find", hint_find,
        {.help = "what stands once in each prompt and the hint replaces; empty: the hint is put"
                 " behind the prompt"});
  f.add("hint_replace", hint_replace, {.help = "the hint: names the loophole"});
  f.add("shown_tests", shown_tests, {.help = "tests in {tests}; -1: all", .min = -1});
}

void ProblemsConfig::fields(base::Fields& f) {
  f.add("kind", kind, {.help = "published format", .choices = [] {
                         auto kinds = data::program_kinds();
                         kinds.insert(kinds.begin(), "");
                         return kinds;
                       }()});
  f.add("path", path, {.help = "its file"});
  f.add("split", split, {.help = "problems of this split alone; empty: all"});
  f.add("ids", ids, {.help = "these problems alone, in the order of the file; empty: all"});
  f.add("skip", skip, {.help = "problems left out at the start", .min = 0});
  f.add("limit", limit, {.help = "problems used; 0: all", .min = 0});
  f.add(
      "max_prompt_tokens", max_prompt_tokens,
      {.help = "problems with a longer prompt are left out; 0: none", .unit = "tokens", .min = 0});
}

void PoolsConfig::fields(base::Fields& f) {
  f.group("problems", problems);
  f.group("prompt", prompt);
  f.group("grader", grader);
  f.add("replay", replay,
        {.help = "folders of stored pools, the teacher's first; with one alone all samples of a"
                 " step come from it; empty: both are generated"});
  f.add("teacher", teacher,
        {.help = "LoRA folder (PEFT's layout) of the policy that writes the teacher's pool"});
  f.add("samples", samples, {.help = "of a pool's step", .unit = "samples", .min = 2, .max = 1e4});
  f.add("max_new_tokens", max_new_tokens,
        {.help = "longest completion; Dr.GRPO's constant denominator", .unit = "tokens", .min = 1});
  f.add("temperature", temperature, {.help = "of the samples", .min = 0, .max = 100});
  f.add("top_p", top_p, {.help = "nucleus", .min = 1e-6, .max = 1});
  f.add("stop", stop, {.help = "texts that end a completion"});
  f.add("batch", batch, {.help = "sequences in flight", .min = 1, .max = 1e6, .role = placement});
}

void ExtractionConfig::fields(base::Fields& f) {
  f.add("pairs", pairs,
        {.help = "pairs of completions: a JSON array, or FILE.md#section/prefix@tags"});
  f.add("heldout", heldout,
        {.help = "the last pairs, which validate the directions", .unit = "pairs", .min = 0});
  f.add("loss", loss,
        {.help = "what is contrasted: nll, means over tokens; grpo, advantages +1 and -1 under"
                 " Dr.GRPO's constant denominator",
         .choices = {"nll", "grpo"}});
  f.add("k", axes.k, {.help = "axes of a module at most", .min = 1, .max = 1000});
  f.add("noise_quantile", axes.noise_quantile,
        {.help = "of all singular values: smaller axes are dropped", .min = 0, .max = 1});
  f.add(
      "relative_floor", axes.relative_floor,
      {.help = "of a module's first singular value: smaller axes are dropped", .min = 0, .max = 1});
}

void NullsConfig::fields(base::Fields& f) {
  f.add("draws", draws, {.help = "of each null", .min = 10, .max = 1e6});
  f.add("kinds", kinds,
        {.help = "random: orthonormal rows; shuffled: labels of pairs flipped; anisotropic: rows"
                 " from the base pool's gradients",
         .choices = {"random", "shuffled", "anisotropic"}});
  f.add("style_pairs", style_pairs,
        {.help = "pairs of clean completions that differ in style alone: directions without a hack;"
                 " empty: none"});
}

void ProbeConfig::fields(base::Fields& f) {
  f.add("arms", arms,
        {.help = "vanilla: no projection; projected: singular-value basis;"
                 " projected_lora: weight basis; the others are variants",
         .choices = arm_names()});
  f.add("passes", passes,
        {.help = "trained: weights move between steps; frozen: learning rate 0",
         .choices = {"trained", "frozen"}});
  f.add("steps", steps, {.help = "groups", .unit = "steps", .min = 1, .max = 1e5});
  f.add("loss", loss,
        {.help = "grpo: advantages; nll: all samples alike (phase 1)", .choices = {"grpo", "nll"}});
  f.add("denominator", denominator,
        {.help = "of the updates; the other one's cosines are reported too",
         .choices = {"plan", "dr_grpo", "classic"}});
  f.add("both_halves", both_halves,
        {.help = "each pool step makes two groups: its first samples and the others"});
  f.add("factors", factors,
        {.help = "folder where factors of matrices are kept by their hash, for all runs on a model"
                 " (9.8 GB of Qwen3-4B); empty: the run's folder",
         .role = placement});
  f.add("lora_rank", lora_rank, {.help = "of the weight basis", .min = 1, .max = 4096});
  f.add("lora_alpha", lora_alpha, {.help = "its scale times the rank", .min = 1e-6, .max = 1e6});
  f.add("lr", lr, {.help = "learning rate of the trained pass", .min = 0, .max = 10});
  f.group("adam", adam);
  f.add("weight_decay", adam.weight_decay,
        {.help = "decoupled, of the trained pass; knobs s do not decay", .min = 0, .max = 10});
  f.add("momentum", momentum, {.help = "of arm projected_sgd", .min = 0, .max = 1});
  f.add("batch_tokens", batch_tokens,
        {.help = "put through the model at once", .unit = "tokens", .min = 1, .role = placement});
  f.add("keep_adapters", keep_adapters, {.help = "keep the knobs of every step of a trained arm"});
}

void GrpoConfig::fields(base::Fields& f) {
  f.add("stage", stage,
        {.help = "probe: replay of pools; sweep: on-policy training of arms and seeds",
         .choices = {"probe", "sweep"}});
  f.group("model", model);
  f.group("pools", pools);
  f.group("extraction", extraction);
  f.group("probe", probe);
  f.group("nulls", nulls);
  f.group("sweep", sweep);
  f.group("test", test);
  f.group("sandbox", sandbox);
  f.add("bootstrap_draws", bootstrap_draws,
        {.help = "resamples of the steps, and permutations", .min = 100, .max = 1e7});
}

base::ConfigErrors GrpoConfig::check() const {
  base::ConfigErrors errors;
  require_file(errors, "model.dir", fs::path(model.dir) / "config.json");
  if (!text::has_tokenizer(model.dir))
    errors.push_back(str("\"model.dir\": ", model.dir, " holds no tokenizer"));
  if (pools.problems.kind.empty())
    errors.push_back(
        "\"pools.problems.kind\": found nothing, expected a set of problems: the"
        " sandbox judges stored pools too");
  else
    require_file(errors, "pools.problems.path", pools.problems.path);
  if (pools.replay.size() > 2)
    errors.push_back(
        str("\"pools.replay\": found ", pools.replay.size(), " folders, expected one or two"));
  for (const auto& folder : pools.replay)
    if (!fs::is_directory(folder))
      errors.push_back(str("\"pools.replay\": found no folder at ", folder));
  if (stage == "sweep") {
    for (auto& error : sweep.check("grpo.sweep.")) errors.push_back(std::move(error));
    if (test.kind.empty())
      errors.push_back("\"test.kind\": found nothing, expected a set of problems to evaluate on");
    else
      require_file(errors, "test.path", test.path);
    if (!sweep.start.empty())
      require_file(errors, "sweep.start", fs::path(sweep.start) / "adapter_config.json");
  } else if (pools.replay.empty())
    require_file(errors, "pools.teacher", fs::path(pools.teacher) / "adapter_config.json");
  require_file(errors, "extraction.pairs", pairs_path(extraction.pairs));
  if (!nulls.style_pairs.empty())
    require_file(errors, "nulls.style_pairs", pairs_path(nulls.style_pairs));
  if (pools.samples % 2 != 0)
    errors.push_back(str("\"pools.samples\": found ", pools.samples, ", expected an even number"));
  require_distinct(errors, "probe.arms", probe.arms);
  require_distinct(errors, "probe.passes", probe.passes);
  if (probe.loss == "grpo" && pools.replay.size() == 1)
    errors.push_back(
        "\"pools.replay\": one pool alone has no reward variance; give two, or set"
        " probe.loss to nll");
  return errors;
}

}  // namespace preimage::grpo
