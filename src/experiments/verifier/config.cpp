#include "config.hpp"

#include <algorithm>
#include <filesystem>

#include "preimage/base/config_paths.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/programs.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::verifier {
namespace {

namespace fs = std::filesystem;
using base::require_file;
using base::str;
constexpr auto placement = base::FieldRole::placement;

}  // namespace

void SetConfig::fields(base::Fields& f) {
  f.add("kind", kind, {.help = "published format", .choices = [] {
                         auto kinds = data::program_kinds();
                         kinds.insert(kinds.begin(), "");
                         return kinds;
                       }()});
  f.add("path", path, {.help = "its file"});
}

void DataConfig::fields(base::Fields& f) {
  f.group("problems", problems);
  f.group("test", test);
  f.add("candidates", candidates,
        {.help = "JSON lines of prompt, code, label: start from them instead of generating"});
  f.add("exclude", exclude, {.help = "ids of problems that are left out"});
  f.add("validation_share", validation_share,
        {.help = "share of the training problems that decides when to stop, where the set publishes"
                 " no validation split",
         .min = 0.01,
         .max = 0.9});
  f.add(
      "leak_limit", leak_limit,
      {.help = "training problems whose text has a larger trigram Jaccard index with one of another"
               " split are left out",
       .min = 0,
       .max = 1});
  f.add("train_limit", train_limit, {.help = "training problems; 0: all", .min = 0});
  f.add("validation_limit", validation_limit,
        {.help = "problems of a published validation split; 0: train_limit", .min = 0});
  f.add("test_limit", test_limit, {.help = "test problems; 0: all", .min = 0});
}

void GenerationConfig::fields(base::Fields& f) {
  f.add("model", model, {.help = "checkpoint folder of the generator"});
  f.add("dtype", dtype, {.help = "type of its weights", .choices = {"float32", "bfloat16"}});
  f.add("prompt", prompt,
        {.help = "what it reads, with {text}, {tests}, {starter}, {entry_point}"});
  f.add("test_prompt", test_prompt,
        {.help = "what it reads of a test problem, where those are another set; empty: the same"});
  f.add("shown_tests", shown_tests, {.help = "tests in the prompt; -1: all", .min = -1});
  f.add("chat", chat, {.help = "put the prompt into the checkpoint's chat template"});
  f.add("system", system, {.help = "system message before it; empty: none"});
  f.add("continues", continues,
        {.help = "the completion continues the problem's starter code (HumanEval)"});
  f.add("stop", stop, {.help = "texts that end a completion"});
  f.add("temperature", temperature, {.help = "of the samples", .min = 0, .max = 100});
  f.add("top_p", top_p, {.help = "nucleus", .min = 1e-6, .max = 1});
  f.add("top_k", top_k, {.help = "most likely tokens kept; 0: all", .min = 0});
  f.add("max_new_tokens", max_new_tokens,
        {.help = "longest completion", .unit = "tokens", .min = 1});
  f.add("train_candidates", train_candidates,
        {.help = "of each training and validation problem", .min = 1, .max = 1e6});
  f.add("test_candidates", test_candidates, {.help = "of each test problem", .min = 1, .max = 1e6});
  f.add("block", block, {.help = "candidates of one unit of work", .min = 1, .max = 1e6});
  f.add("batch", batch, {.help = "sequences in flight", .min = 1, .max = 1e6, .role = placement});
}

void ArmsConfig::fields(base::Fields& f) {
  f.add(
      "kinds", kinds,
      {.help = "ouroboros: an encoder from scratch; generator: the generator's hidden states with"
               " an energy head, its top layers tuned; likelihood: the generator's log-probability"
               " of the program, its top layers tuned",
       .choices = {"ouroboros", "generator", "likelihood"}});
  f.add("tokenizer", tokenizer,
        {.help = "folder with the tokenizer of arm ouroboros; empty: the generator's"});
  f.add("prompt", prompt, {.help = "what a verifier reads of the problem, with {text} and so on"});
  f.add("shown_tests", shown_tests,
        {.help = "tests in that prompt, in training and test alike; -1: all", .min = -1});
  f.add("border", border,
        {.help = "an end-of-text token between prompt and program; false: the program follows the"
                 " prompt, as in generation"});
  f.add("max_tokens", max_tokens,
        {.help = "prompt and program, cut beyond", .unit = "tokens", .min = 4, .max = 1e6});
  f.add("hidden_size", hidden_size, {.help = "ouroboros: width", .min = 32, .max = 65536});
  f.add("layers", layers, {.help = "ouroboros: blocks", .min = 1, .max = 1000});
  f.add("heads", heads, {.help = "ouroboros: attention heads", .min = 1, .max = 1024});
  f.add(
      "energy", energy,
      {.help = "sigmoid: each position in [0, 1]; raw: unbounded", .choices = {"sigmoid", "raw"}});
  f.add("tuned_layers", tuned_layers,
        {.help = "generator, likelihood: layers trained from the top; 0: the head alone",
         .min = 0,
         .max = 1000});
  f.add("scale", scale,
        {.help = "likelihood: energy of a nat at the start of training", .min = 1e-6, .max = 1e3});
  f.add("offset", offset,
        {.help = "likelihood: what is added to it; minus scale times the median nats of a program"
                 " starts energies around 0",
         .min = -1e6,
         .max = 1e6});
  f.add("state_mb", state_mb,
        {.help = "likelihood: frozen states of training programs that each rank keeps; the others"
                 " are computed again at each use",
         .unit = "MiB",
         .min = 0,
         .role = placement});
}

void VerifierConfig::fields(base::Fields& f) {
  f.group("data", data);
  f.group("generation", generation);
  f.group("sandbox", sandbox);
  f.group("arms", arms);
  f.group("pairs", pairs);
  f.add("losses", losses, {.help = "each is trained with each arm", .choices = loss_kinds()});
  f.group("loss", loss);
  f.group("train", train);
  f.add("training_seeds", training_seeds,
        {.help = "trainings of each arm and loss", .min = 1, .max = 100});
  f.add(
      "labels", labels,
      {.help = "true; shuffled: those of train and validation permuted within each problem, which"
               " must give random; token: the label is part of the program's text, which must give"
               " the oracle",
       .choices = {"true", "shuffled", "token"}});
  f.add("bootstrap_draws", bootstrap_draws,
        {.help = "resamples of the test problems", .min = 100, .max = 1e7});
  f.add("calibration_bins", calibration_bins,
        {.help = "of the reliability diagram", .min = 1, .max = 1000});
  f.add("score_training", score_training,
        {.help = "give the training problems' programs energies too, not those of validation and"
                 " test alone"});
  f.add("keep_inputs", keep_inputs, {.help = "keep the verifier's token ids of every candidate"});
}

bool VerifierConfig::has_arm(const std::string& kind) const {
  return std::find(arms.kinds.begin(), arms.kinds.end(), kind) != arms.kinds.end();
}

base::ConfigErrors VerifierConfig::check() const {
  base::ConfigErrors errors;
  if (generates()) {
    if (data.problems.kind.empty())
      errors.push_back(
          "\"data.problems.kind\": found nothing, expected a set of problems (or"
          " \"data.candidates\")");
    else
      require_file(errors, "data.problems.path", data.problems.path);
    if (!data.test.kind.empty()) require_file(errors, "data.test.path", data.test.path);
    require_file(errors, "generation.model", fs::path(generation.model) / "config.json");
  } else {
    require_file(errors, "data.candidates", data.candidates);
  }
  if (tokenizer_folder().empty())
    errors.push_back("\"arms.tokenizer\": found nothing, expected a folder with a tokenizer");
  else if (!text::has_tokenizer(tokenizer_folder()))
    errors.push_back(str("\"arms.tokenizer\": ", tokenizer_folder(), " holds no tokenizer"));
  if (reads_generator()) {
    require_file(errors, "generation.model", fs::path(generation.model) / "config.json");
    if (!arms.tokenizer.empty() && arms.tokenizer != generation.model)
      errors.push_back(
          "\"arms.tokenizer\": arms generator and likelihood read the generator's own tokens; "
          "leave it"
          " empty");
  }
  if (arms.hidden_size % 32 != 0 || arms.hidden_size % (2 * arms.heads) != 0)
    errors.push_back(str("\"arms.hidden_size\": found ", arms.hidden_size,
                         ", expected a multiple of 32 and of twice arms.heads"));
  const bool bounded = arms.energy == "sigmoid";
  for (const auto& kind : losses) {
    if (kind == "bce" && bounded)
      errors.push_back("\"losses\": bce takes the energy as a logit; set arms.energy to raw");
    if (kind == "margin" && bounded && loss.margin >= 1)
      errors.push_back(str("\"loss.margin\": found ", loss.margin,
                           ", expected less than 1, the largest difference of sigmoid energies"));
  }
  return errors;
}

}  // namespace preimage::verifier
