#include "config.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "preimage/base/str.hpp"
#include "preimage/data/dataset.hpp"

namespace preimage::dcm {
namespace {

using base::str;
constexpr auto placement = base::FieldRole::placement;

// Adapts the members of ConvergenceOptions, which knows nothing of configs.
struct ConvergenceFields {
  ConvergenceOptions& options;
  void fields(base::Fields& f) {
    f.add("random_factor", options.random_factor,
          {.help = "a target converges below this times its random baseline ...",
           .min = 0,
           .max = 10});
    f.add("full_factor", options.full_factor,
          {.help = "... or below this times its full-context baseline", .min = 0, .max = 100});
    f.add("tight_nll", options.tight_nll,
          {.help = "tight: the worst token of both targets below this; up to ln 2 it implies exact",
           .unit = "nats",
           .min = 0,
           .max = ln2});
  }
};

std::string quoted(const std::string& path) {
  return "\"" + path + "\"";
}

void require_placeholder(base::ConfigErrors& errors, const std::string& path,
                         const std::string& text, const std::string& placeholder) {
  if (text.find(placeholder) != std::string::npos) return;
  errors.push_back(quoted(path) + ": found " + base::Json(text).dump() + ", expected the word " +
                   placeholder + " in it, where that text goes");
}

// Adds an error unless `path` is a folder (or a regular file).
void require_path(base::ConfigErrors& errors, const std::string& field, const std::string& path,
                  bool folder) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  const bool right =
      folder ? std::filesystem::is_directory(status) : std::filesystem::is_regular_file(status);
  if (right) return;
  const char* found = std::filesystem::exists(status) ? "something else" : "nothing";
  errors.push_back(str(quoted(field), ": found ", found, " at ", path, ", expected a ",
                       folder ? "folder" : "file", "; paths count from the working folder ",
                       std::filesystem::current_path(ignored).string()));
}

bool is_ascending(const std::vector<int64_t>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::greater_equal<>()) == values.end();
}

}  // namespace

void ModelConfig::fields(base::Fields& f) {
  f.add("dir", dir, {.help = "checkpoint folder in Hugging Face layout", .required = true});
  f.add("dtype", dtype,
        {.help = "type of the weights; content vectors, Adam's state and losses are float32 always",
         .choices = {"float32", "bfloat16"}});
  f.add("weights", weights,
        {.help = "how the matrices are held: decoded to dtype; stored as in the checkpoint (MXFP4, "
                 "FP8, int4); int8, fp8 or fp8_w8a8 (inputs too) on load",
         .choices = {"decoded", "stored", "int8", "fp8", "fp8_w8a8"}});
  f.add("adapter", adapter,
        {.help = "folder of a LoRA adapter in PEFT's layout, merged on load; empty: none"});
}

void DataConfig::fields(base::Fields& f) {
  f.add("kind", kind,
        {.help = "format of the data; pairs: one JSON object a line with id, question, answer",
         .choices = data::dataset_kinds(),
         .required = true});
  f.add("path", path,
        {.help = "file (arc: folder of tasks); arithmetic without one is generated from the seed"});
  f.add("count", count, {.help = "pairs to draw", .unit = "pairs", .min = 1, .max = 1e9});
  f.add("seed", seed, {.help = "seed of the draw", .min = 0, .max = 0x1p53});
  f.add("one_per_group", one_per_group,
        {.help = "one pair of each article (or other group) while there are unused ones"});
  f.add("max_question_tokens", max_question_tokens,
        {.help = "leave out pairs with a longer question; 0: no limit",
         .unit = "tokens",
         .min = 0,
         .max = 1e6});
  f.add("max_answer_tokens", max_answer_tokens,
        {.help = "leave out pairs with a longer answer; 0: no limit",
         .unit = "tokens",
         .min = 0,
         .max = 1e6});
}

void AdamConfig::fields(base::Fields& f) {
  f.add("beta1", beta1, {.help = "decay of the first moment", .min = 0, .max = 0.999999});
  f.add("beta2", beta2, {.help = "decay of the second moment", .min = 0, .max = 0.99999999});
  f.add("epsilon", epsilon, {.help = "added to the root of the second moment", .min = 0, .max = 1});
}

void TemplateConfig::fields(base::Fields& f) {
  f.add("answer_from_question", answer_from_question,
        {.help = "prompt of the baseline L(A | Q), with {question}", .required = true});
  f.add("question_from_answer", question_from_answer,
        {.help = "prompt of the baseline L(Q | A), with {answer}", .required = true});
  f.add("answer_from_passage", answer_from_passage,
        {.help = "prompt of the baseline L(A | passage, Q), with {passage} and {question}",
         .required = true});
}

void DcmConfig::fields(base::Fields& f) {
  f.group("model", model);
  f.group("data", data);
  method_fields(f);
}

void DcmConfig::method_fields(base::Fields& f) {
  f.add("stages", stages,
        {.help = "single: each target alone; joint: both; spot: gate on the decoded texts; ksweep: "
                 "joint for each K; paraphrase: joint with paraphrases",
         .choices = {"single", "joint", "spot", "ksweep", "paraphrase"}});
  f.add("k", k, {.help = "content vectors", .min = 1, .max = 4096});
  f.add("mode_question", mode_question,
        {.help = "one token whose embedding stands first when the question is asked for"});
  f.add("mode_answer", mode_answer, {.help = "the same for the answer"});
  f.add("append_eos", append_eos, {.help = "end both targets with the end-of-sequence token"});
  optimiser_fields(f);
  f.add("k_sweep", k_sweep,
        {.help = "stage ksweep: numbers of content vectors, ascending", .min = 1, .max = 4096});
  f.add("k_sweep_pairs", k_sweep_pairs,
        {.help = "stage ksweep takes the first this many pairs; 0: all",
         .unit = "pairs",
         .min = 0,
         .max = 1e9});
  f.add("k_sweep_reference", k_sweep_reference,
        {.help = "minimum viable K is judged against this K; where the sweep lacks it, against its "
                 "largest",
         .min = 1,
         .max = 4096});
  f.add(
      "k_sweep_margin", k_sweep_margin,
      {.help = "a K is viable when its exact rate is at most this much lower", .min = 0, .max = 1});
  f.add("paraphrases", paraphrases,
        {.help = "file, one JSON object a line: id, questions [..], answers [..]; \"\": none"});
  f.add("paraphrase_weight", paraphrase_weight,
        {.help = "weight of the original; the rest is the mean over the paraphrases",
         .min = 0,
         .max = 1});
  report_fields(f);
  f.add("batch_tokens", batch_tokens,
        {.help = "positions put through the model at once by one worker, at most; fewer on the CPU "
                 "and where a GPU has no room for them",
         .unit = "tokens",
         .min = 1,
         .max = 1e9,
         .role = placement});
  f.add("compact_every", compact_every,
        {.help = "finished problems leave the batch and waiting ones enter after this many steps",
         .unit = "steps",
         .min = 1,
         .max = 1e6,
         .role = placement});
}

void DcmConfig::optimiser_fields(base::Fields& f) {
  f.add(
      "init", init,
      {.help = "start of the content vectors: gauss sigma z; gauss-rms z rms(E); vocab random rows "
               "of E; mean row of E + 0.1 rms(E) z; text: the first K tokens of question and "
               "answer (a control, it contains the answer)",
       .choices = {"gauss", "gauss-rms", "vocab", "mean", "text"}});
  f.add("init_sigma", init_sigma, {.help = "gauss: standard deviation", .min = 0, .max = 100});
  f.add("restarts", restarts, {.help = "starts of each pair", .min = 1, .max = 1e6});
  f.add(
      "restart_policy", restart_policy,
      {.help = "all: every start runs; failures: start r runs only where no earlier one reproduced "
               "both targets",
       .choices = {"all", "failures"}});
  f.add("keep_restart_embeddings", keep_restart_embeddings,
        {.help = "also store the solution of every start, dcm/restart_embeddings"});
  f.add(
      "stop", stop,
      {.help =
           "a start ends before its last step once it meets: conv (both targets below a share "
           "of R, or a multiple of F) or tight (every token's p > 1/2: exact decoding is certain)",
       .choices = {"none", "conv", "tight"}});
  f.add("objective", objective,
        {.help = "plain: g_Q + g_A; projected: each first freed of its conflict with the other",
         .choices = {"plain", "projected"}});
  f.add("manifold_lambda", manifold_lambda,
        {.help = "weight of the mean squared distance to the nearest token, in units of rms(E)^2",
         .min = 0,
         .max = 1e6});
  f.group("schedule", schedule);
  f.group("adam", adam);
  f.add("clip", clip,
        {.help = "largest gradient norm of one problem, over its own K x d entries; 0: no clipping",
         .min = 0,
         .max = 1e9});
}

void DcmConfig::report_fields(base::Fields& f) {
  f.add("baseline_draws", baseline_draws,
        {.help = "draws behind each random baseline", .min = 1, .max = 1e6});
  f.group("templates", templates);
  ConvergenceFields convergence_fields{convergence};
  f.group("convergence", convergence_fields);
  f.add("conflict_window", conflict_window,
        {.help = "r_d correlates loss changes over windows of this length; NaN below ten of them",
         .unit = "steps",
         .min = 1,
         .max = 1e6});
  f.group("gates", gates);
  f.add("decode_extra_tokens", decode_extra_tokens,
        {.help = "greedy decoding ends this far beyond the target's length",
         .unit = "tokens",
         .min = 0,
         .max = 1e6});
  f.add("text_encoder", text_encoder,
        {.help = "folder of a sentence encoder, as `preimage embed` reads it (its own pipeline, or "
                 "the mean over its tokens): a decode passes too with cosine >= 0.9 and F1 >= 0.5; "
                 "\"\": that clause is off"});
  f.add("curve_every", curve_every,
        {.help = "dcm/curves keeps every this many steps (classes use all steps)",
         .unit = "steps",
         .min = 1,
         .max = 1e9});
}

bool DcmConfig::has_stage(const std::string& stage) const {
  return std::find(stages.begin(), stages.end(), stage) != stages.end();
}

ConflictOptions DcmConfig::conflict() const {
  return {.window = conflict_window,
          .max_correlation = gates.g4_correlation,
          .min_negative = gates.g4_negative};
}

base::ConfigErrors DcmConfig::check_stages() const {
  base::ConfigErrors errors;
  const std::string field = "\"dcm.stages\": ";
  if (stages.empty()) errors.push_back(field + "found none, expected at least one stage");
  if (std::set<std::string>(stages.begin(), stages.end()).size() != stages.size()) {
    errors.push_back(field + "found a stage twice, expected each at most once");
  }
  if (has_stage("spot") && !has_stage("joint")) {
    errors.push_back(field + "found spot without joint, expected both: spot judges joint's texts");
  }
  if (has_stage("paraphrase") && paraphrases.empty()) {
    errors.push_back(field + "found paraphrase, expected a file in \"dcm.paraphrases\" too");
  }
  const bool deploys = gates.mode == "enforce" && has_stage("joint");
  if (!paraphrases.empty() && !has_stage("paraphrase") && !deploys) {
    errors.push_back(
        "\"dcm.paraphrases\": found a file that nothing would use, expected stage "
        "\"paraphrase\" or \"dcm.gates.mode\" enforce with stage \"joint\"");
  }
  if (has_stage("ksweep") && k_sweep.empty()) {
    errors.push_back("\"dcm.k_sweep\": found none, expected at least one K for stage ksweep");
  }
  if (!is_ascending(k_sweep)) {
    errors.push_back("\"dcm.k_sweep\": found " + base::Json(k_sweep).dump() +
                     ", expected each K once, in ascending order");
  }
  if (has_stage("ksweep") && k_sweep_pairs > data.count) {
    errors.push_back(str("\"dcm.k_sweep_pairs\": found ", k_sweep_pairs,
                         ", expected at most data.count (", data.count, ")"));
  }
  return errors;
}

base::ConfigErrors DcmConfig::check() const {
  base::ConfigErrors errors = check_stages();
  const auto append = [&](base::ConfigErrors more) {
    std::move(more.begin(), more.end(), std::back_inserter(errors));
  };
  if (data.path.empty() && data.kind != "arithmetic") {
    errors.push_back("\"dcm.data.path\": found nothing, expected the file of data.kind " +
                     data.kind);
  }
  if (mode_question.empty() || mode_answer.empty() || mode_question == mode_answer) {
    errors.push_back("\"dcm.mode_question\", \"dcm.mode_answer\": found " +
                     base::Json(mode_question).dump() + " and " + base::Json(mode_answer).dump() +
                     ", expected two different one-token texts");
  }
  if (init == "gauss" && init_sigma == 0 && restarts > 1) {
    errors.push_back("\"dcm.init_sigma\": found 0, expected more, for all restarts would be one");
  }
  require_placeholder(errors, "dcm.templates.answer_from_question", templates.answer_from_question,
                      "{question}");
  require_placeholder(errors, "dcm.templates.question_from_answer", templates.question_from_answer,
                      "{answer}");
  require_placeholder(errors, "dcm.templates.answer_from_passage", templates.answer_from_passage,
                      "{passage}");
  require_placeholder(errors, "dcm.templates.answer_from_passage", templates.answer_from_passage,
                      "{question}");
  append(schedule.check("dcm.schedule."));
  append(gates.check("dcm.gates."));
  return errors;
}

base::ConfigErrors DcmConfig::check_files() const {
  base::ConfigErrors errors;
  require_path(errors, "dcm.model.dir", model.dir, true);
  if (!data.path.empty()) require_path(errors, "dcm.data.path", data.path, data.kind == "arc");
  if (!paraphrases.empty()) {
    require_path(errors, "dcm.paraphrases", paraphrases, false);
  }
  if (!text_encoder.empty()) require_path(errors, "dcm.text_encoder", text_encoder, true);
  return errors;
}

std::vector<std::string> DcmConfig::notes() const {
  std::vector<std::string> out;
  if (text_encoder.empty()) {
    out.push_back(
        "the grade's cosine clause is off: dcm.text_encoder is empty, so a pass needs equal "
        "text or token F1 >= 0.8");
  }
  if (init == "text") {
    out.push_back("dcm.init text is an upper-bound control: the start contains the answer");
  }
  if (has_stage("joint") && data.count < gates.g3_pairs) {
    out.push_back(str("fewer pairs (", data.count, ") than gate G3 asks for (", gates.g3_pairs,
                      "): it will say not_reached"));
  }
  return out;
}

}  // namespace preimage::dcm
