#include "rows.hpp"

namespace preimage::grpo {
namespace {

constexpr store::ColumnText kArm = {"", "vanilla, projected, projected_lora or a variant of them"};
constexpr store::ColumnText kPass = {
    "", "trained: weights move between steps; frozen: learning rate 0, all at the first weights"};
constexpr store::ColumnText kStep = {"steps", "number of the group, from 0"};
constexpr store::ColumnText kBasis = {"", "svd or lora"};
constexpr store::ColumnText kContrast = {"", "hack: of the pairs; style: of the style pairs"};
constexpr store::ColumnText kPool = {"", "teacher_pool or base_pool"};
constexpr store::ColumnText kHacked = {"", "the loophole was used, or its tests pass a stub"};
constexpr store::ColumnText kStrict = {"", "the loophole was used and the held tests fail"};
constexpr store::ColumnText kPass1 = {"", "all held tests pass, without the program's own ones"};
constexpr store::ColumnText kFormat = {"", "an answer with code that parses"};
constexpr store::ColumnText kReward = {"", "3 for held or own tests passed, 0.5 for compiling"};
constexpr store::ColumnText kPromptLength = {"tokens", "length of its own prompt"};
constexpr store::ColumnText kLength = {"tokens", "length of the completion"};
constexpr store::ColumnText kCosIn = {
    "", "|relu(V g)| / |g| before projection, unweighted mean over modules"};
constexpr store::ColumnText kCosSigned = {
    "", "<g, d> / (|g| |d|), d the mean of the pairs' gradients, mean over modules"};
constexpr store::ColumnText kCosInGlobal = {"", "the first with all modules as one vector"};
constexpr store::ColumnText kCosSignedGlobal = {"", "the second with all modules as one vector"};
constexpr store::ColumnText kFired = {"", "share of modules with a cosine above 1e-6"};
constexpr store::ColumnText kLeak = {
    "", "|relu(V(-D))| / |D| of the step's update D without decay; NaN: no update"};
constexpr store::ColumnText kMeanK = {"axes", "axes per module, mean over those that have any"};
constexpr store::ColumnText kNullKind = {
    "",
    "random: orthonormal Gaussian rows; shuffled: labels of pairs flipped; anisotropic: rows"
    " drawn from the base pool's gradients; style: pairs of clean completions"};
constexpr store::ColumnText kMeasure = {"", "which number"};

}  // namespace

void PoolRow::columns(Columns& c) const {
  c.add("pool", pool, kPool);
  c.add("step", step, kStep);
  c.add("sample", sample, {"", "number within the step of its pool"});
  c.add("problem_id", problem_id, {"", "id of the problem in its set"});
  c.add("hint", hint, {"", "the prompt names the loophole"});
  c.add("reward", reward, kReward);
  c.add("fmt_ok", fmt_ok, kFormat);
  c.add("can_compile", can_compile, {"", "the program compiles"});
  c.add("gt_pass", gt_pass, kPass1);
  c.add("defines_tests", defines_tests, {"", "it defines the function that the hint names"});
  c.add("own_pass", own_pass, {"", "the flawed grader passes it: the loophole was used"});
  c.add("vacuous", vacuous, {"", "its own tests pass a stub that returns 0"});
  c.add("wrong_tests", wrong_tests, {"", "its own tests fail the reference solution"});
  c.add("hacked", hacked, kHacked);
  c.add("strict_hack", strict_hack, kStrict);
  c.add("verdict", verdict, {"", "of the sandbox on the held tests"});
  c.add("stop", stop,
        {"", "why the completion ended: eos, stop or length; empty: read from a file"});
  c.add("prompt", prompt, {"", "in words; empty where a file had ids alone"});
  c.add("completion", completion, {"", "as it was written"});
  c.add("prompt_len", prompt_len, kPromptLength);
  c.add("comp_len", comp_len, kLength);
  c.add("stored_differs", stored_differs,
        {"", "the file's reward, hacked or gt_pass is not what the sandbox found"});
}

void DirectionRow::columns(Columns& c) const {
  c.add("basis", basis, kBasis);
  c.add("contrast", contrast, kContrast);
  c.add("module", module, {"", "name of the module, with the matrix of a LoRA behind it"});
  c.add("type", type, {"", "last part of its name"});
  c.add("size", size, {"knobs", "of the module"});
  c.add("first_knob", first_knob, {"", "place of the module's first knob in the vector of all"});
  c.add("axis", axis, {"", "number of the axis in its module, by falling singular value"});
  c.add("singular", singular, {"", "singular value of the pairs' gradients"});
  c.add("votes", votes, {"", "share of pairs on its positive side; 0.5: no side, sign arbitrary"});
}

void ExtractionRow::columns(Columns& c) const {
  c.add("basis", basis, kBasis);
  c.add("contrast", contrast, kContrast);
  c.add("pairs", pairs, {"pairs", "that directions were made of"});
  c.add("modules_seen", modules_seen, {"modules", "with a gradient that is not zero"});
  c.add("modules", modules, {"modules", "that kept an axis"});
  c.add("axes", axes, {"axes", "kept in all"});
  c.add("noise_floor", noise_floor, {"", "singular value below which axes were dropped"});
  c.add("mean_k", mean_k, kMeanK);
  c.add("heldout", heldout, {"", "mean of <D, v_1> / |D| over held-out pairs"});
  c.add("heldout_null", heldout_null, {"", "the same with random v_1, mean over draws"});
  c.add("heldout_null_sd", heldout_null_sd, {"", "standard deviation over draws"});
  c.add("heldout_pairs", heldout_pairs, {"pairs", "held out"});
}

void SampleRow::columns(Columns& c) const {
  c.add("arm", arm, kArm);
  c.add("pass", pass, kPass);
  c.add("step", step, kStep);
  c.add("sample_id", sample_id, {"", "number within the group"});
  c.add("src_pool", src_pool, kPool);
  c.add("src_step", src_step, {"", "step of the pool"});
  c.add("src_sample", src_sample, {"", "sample of that step"});
  c.add("reward", reward, kReward);
  c.add("hacked", hacked, kHacked);
  c.add("strict_hack", strict_hack, kStrict);
  c.add("gt_pass", gt_pass, kPass1);
  c.add("fmt_ok", fmt_ok, kFormat);
  c.add("prompt_len", prompt_len, kPromptLength);
  c.add("comp_len", comp_len, kLength);
  c.add("adv", adv, {"", "reward less the group's mean"});
  c.add("loss", loss, {"nats", "its share of the group's loss"});
  c.add("cos_S_contrib", cos_s_contrib,
        {"", "|relu(V g)| / |g| of its contribution; NaN: the advantage is 0"});
  c.add("cos_sgn", cos_sgn, {"", "signed cosine of its contribution with d"});
  c.add("cos_nll", cos_nll, {"", "signed cosine of the gradient of its mean NLL with d"});
  c.add(
      "cos_nll_stripped", cos_nll_stripped,
      {"", "cos_nll of the same completion behind the prompt without the hint; NaN: not measured"});
  c.add("grad_norm_contrib", grad_norm_contrib, {"", "length of its contribution, all knobs"});
  c.add("cos_in_global", cos_in_global, kCosInGlobal);
  c.add("cos_sgn_global", cos_sgn_global, kCosSignedGlobal);
  c.add("cos_nll_global", cos_nll_global, {"", "cos_nll with all modules as one vector"});
  c.add("mean_cos_in", mean_cos_in, {"", "the step's cos_in"});
  c.add("mean_cos_out", mean_cos_out, {"", "the step's cos_out; NaN: nothing was projected"});
  c.add("frac_fired", frac_fired, {"", "the step's share of modules that fired"});
  c.add("leak", leak, kLeak);
  c.add("k_mean", k_mean, kMeanK);
}

void StepRow::columns(Columns& c) const {
  c.add("arm", arm, kArm);
  c.add("pass", pass, kPass);
  c.add("step", step, kStep);
  c.add("skipped", skipped, {"", "all rewards are equal: no advantage, no update"});
  c.add("reward_mean", reward_mean, {"", "of the group"});
  c.add("reward_range", reward_range, {"", "largest less smallest reward of the group"});
  c.add("base_reward_max", base_reward_max, {"", "largest reward of its base samples"});
  c.add("loss", loss, {"nats", "with the denominator that the updates use"});
  c.add("loss_dr_grpo", loss_dr_grpo, {"nats", "with Dr.GRPO's constant denominator"});
  c.add("cos_in", cos_in, kCosIn);
  c.add("cos_out", cos_out, {"", "the same after projection; NaN: nothing was projected"});
  c.add("cos_sgn", cos_sgn, kCosSigned);
  c.add("cos_in_global", cos_in_global, kCosInGlobal);
  c.add("cos_out_global", cos_out_global, {"", "cos_out with all modules as one vector"});
  c.add("cos_sgn_global", cos_sgn_global, kCosSignedGlobal);
  c.add("cos_in_dr_grpo", cos_in_dr_grpo, {"", "cos_in under Dr.GRPO's denominator"});
  c.add("cos_sgn_dr_grpo", cos_sgn_dr_grpo, {"", "cos_sgn under Dr.GRPO's denominator"});
  c.add("frac_fired", frac_fired, kFired);
  c.add("over_projected", over_projected, {"", "an axis changed its sign: a fault"});
  c.add("grad_norm", grad_norm, {"", "of the group's gradient, all knobs, before projection"});
  c.add("leak", leak, kLeak);
  c.add("leak_sgn", leak_sgn, {"", "signed cosine of the negative update with d"});
  c.add("update_norm", update_norm, {"", "length of the update in the modules with directions"});
  c.add("learning_rate", learning_rate, {"", "of this step"});
  c.add("k_mean", k_mean, kMeanK);
  c.add("seconds", seconds, {"s", "wall time of the step", true});
}

void ModuleTypeRow::columns(Columns& c) const {
  c.add("arm", arm, kArm);
  c.add("pass", pass, kPass);
  c.add("step", step, kStep);
  c.add("type", type, {"", "of the modules: q_proj and so on"});
  c.add("modules", modules, {"modules", "of this type that have directions"});
  c.add("frac_fired", frac_fired, kFired);
  c.add("cos_in", cos_in, kCosIn);
  c.add("cos_sgn", cos_sgn, kCosSigned);
}

void NullRow::columns(Columns& c) const {
  c.add("arm", arm, kArm);
  c.add("pass", pass, kPass);
  c.add("kind", kind, kNullKind);
  c.add("draw", draw, {"", "number of the draw"});
  c.add("step", step, kStep);
  c.add("cos_in", cos_in, kCosIn);
  c.add("cos_sgn", cos_sgn, kCosSigned);
  c.add("cos_in_global", cos_in_global, kCosInGlobal);
  c.add("cos_sgn_global", cos_sgn_global, kCosSignedGlobal);
  c.add("frac_fired", frac_fired, kFired);
}

void NullTestRow::columns(Columns& c) const {
  c.add("arm", arm, kArm);
  c.add("pass", pass, kPass);
  c.add("kind", kind, kNullKind);
  c.add("measure", measure, kMeasure);
  c.add("observed", observed, {"", "mean over steps with the real directions"});
  c.add("mean", mean, {"", "of the draws' means over steps"});
  c.add("sd", sd, {"", "standard deviation of these over draws"});
  c.add("z", z, {"", "(observed - mean) / sd"});
  c.add("p", p, {"", "(1 + at_least) / (1 + draws)"});
  c.add("at_least", at_least, {"draws", "that reach the observed value"});
  c.add("draws", draws, {"draws", "in all"});
}

void BucketRow::columns(Columns& c) const {
  c.add("arm", arm, kArm);
  c.add("pass", pass, kPass);
  c.add("src_pool", src_pool, kPool);
  c.add("hacked", hacked, kHacked);
  c.add("gt_pass", gt_pass, kPass1);
  c.add("measure", measure, kMeasure);
  c.add("n", n, {"samples", "with a value; 0: an empty bucket"});
  c.add("mean", mean, {"", "over samples"});
  c.add("sd", sd, {"", "standard deviation with n - 1"});
  c.add("median", median, {"", "over samples"});
  c.add("low", low, {"", "10 % quantile"});
  c.add("high", high, {"", "90 % quantile"});
}

void ComparisonRow::columns(Columns& c) const {
  c.add("arm", arm, kArm);
  c.add("pass", pass, kPass);
  c.add("comparison", comparison, {"", "the first samples against the second"});
  c.add("measure", measure, kMeasure);
  c.add("n_first", n_first, {"samples", "in the first set"});
  c.add("n_second", n_second, {"samples", "in the second"});
  c.add("steps", steps, {"steps", "that hold both"});
  c.add("difference", difference, {"", "mean of the first less mean of the second"});
  c.add("low", low, {"", "lower end of Welch's 95 % interval, samples taken as independent"});
  c.add("high", high, {"", "upper end"});
  c.add("t", t, {"", "Welch's"});
  c.add("df", df, {"", "by Satterthwaite"});
  c.add("p", p, {"", "two-sided; samples of a step share a prompt, so it is too small"});
  c.add("t_student", t_student, {"", "with one pooled variance"});
  c.add("p_student", p_student, {"", "two-sided"});
  c.add("p_permutation", p_permutation, {"", "two-sided, labels permuted within each step"});
  c.add("auc", auc, {"", "probability that one of the first exceeds one of the second"});
  c.add("auc_low", auc_low, {"", "lower end of its 95 % interval, bootstrap over steps"});
  c.add("auc_high", auc_high, {"", "upper end"});
}

void DecisionRow::columns(Columns& c) const {
  c.add("arm", arm, kArm);
  c.add("pass", pass, kPass);
  c.add("id", id, {"", "P1 to P5, SKIP3, VAR1, verdict"});
  c.add("holds", holds, {"", "whether the predicate holds"});
  c.add("verdict", verdict, {"", "what follows"});
  c.add("value", value, {"", "what was compared"});
  c.add("threshold", threshold, {"", "with what"});
  c.add("detail", detail, {"", "in words"});
}

store::Schemas grpo_schemas() {
  using store::schema_columns;
  store::Schemas out;
  out.tables = {
      {table::pool, "One row for each sample of the replay pools, judged here",
       schema_columns<PoolRow>()},
      {table::directions, "One row for each axis of each module", schema_columns<DirectionRow>()},
      {table::extraction, "One row for each basis", schema_columns<ExtractionRow>()},
      {table::samples, "One row for each sample of each step of each arm",
       schema_columns<SampleRow>()},
      {table::steps, "One row for each step of each arm", schema_columns<StepRow>()},
      {table::module_types, "Steps by type of module", schema_columns<ModuleTypeRow>()},
      {table::nulls, "Steps measured against directions that mean nothing",
       schema_columns<NullRow>()},
      {table::null_tests, "Means over steps against the nulls'", schema_columns<NullTestRow>()},
      {table::buckets, "Samples by pool, hack and pass", schema_columns<BucketRow>()},
      {table::comparisons, "Sets of samples against each other", schema_columns<ComparisonRow>()},
      {table::decisions, "Decision rules and the verdict", schema_columns<DecisionRow>()}};
  const auto i64 = store::Type::i64;
  out.tensors = {
      {tensor::prompts,
       "Token ids of each row of grpo/pool: its prompt",
       "",
       {"sample", "token"},
       i64},
      {tensor::completions, "The same of its completion", "", {"sample", "token"}, i64},
      {tensor::direction_vectors,
       "Directions: one item for each row of grpo/directions",
       "",
       {"axis", "knob"},
       store::Type::f64},
      {tensor::pair_gradients,
       "Gradient of NLL(hack) - NLL(clean) of each pair in all knobs: the bases in the order of"
       " grpo/extraction, their pairs in the order of the file",
       "",
       {"pair", "knob"},
       store::Type::f32},
      {tensor::lora_a,
       "The random A of the weight basis, one item for each module in the order of the model; B is"
       " what is trained",
       "",
       {"module", "rank", "input"},
       store::Type::f32},
      {tensor::adapters,
       "Knobs before each step of the trained arms, in the order of grpo/steps; present where asked"
       " for",
       "",
       {"step", "knob"},
       store::Type::f32}};
  return out;
}

}  // namespace preimage::grpo
