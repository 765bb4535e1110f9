#include "report/rows.hpp"

namespace preimage::ips {
namespace {

constexpr store::ColumnText kTarget = {"", "id of the target"};
constexpr store::ColumnText kMethod = {
    "", "ga, random, propose, swap (readable tokens), swap_free, ppo, reinforce, dpo; manual"};
constexpr store::ColumnText kSeed = {"", "number of the search, from 0; -1: by hand"};
constexpr store::ColumnText kPrompt = {"", "the user's words alone"};
constexpr store::ColumnText kPromptIds = {
    "", "token ids that the model reads, those of the template included, as JSON"};
constexpr store::ColumnText kLevel = {
    "", "how the answer matches: exact, ast, exec, loss (L_code <= tau); empty: it does not"};
constexpr store::ColumnText kFailed = {"", "rules R1-R4 and R6 that do not hold"};
constexpr store::ColumnText kTokens = {"tokens", "|P|, of the user's words alone"};
constexpr store::ColumnText kCalls = {
    "calls", "that this search has executed: answers, losses without one, gradients, proposals"};

void add_terms(Columns& c, const Terms& t, const Fitness& f) {
  c.add("prompt_tokens", t.prompt_tokens, kTokens);
  c.add("template_tokens", t.template_tokens, {"tokens", "with those of the template"});
  c.add("lcs", t.lcs, {"", "longest common subsequence of token ids / the longer sequence"});
  c.add("edit", t.edit, {"", "1 - edit distance of code points / the longer text"});
  c.add("exact", t.exact, {"", "L0: equal in normal form"});
  c.add("ast", t.ast, {"", "L1: equal syntax trees; equal tokens where there is no parser"});
  c.add("ast_renamed", t.ast_renamed, {"", "L2: equal trees but for local names"});
  c.add("exec", t.exec, {"", "share of the target's probes that pass; NaN: it has none"});
  c.add("probes", t.probes, {"probes", "of the target"});
  c.add("nll", t.nll, {"nats/token", "of the target behind the prompt, teacher-forced"});
  c.add("greedy", t.greedy, {"", "each target token is the most likely one"});
  c.add("overlap", t.overlap, {"", "n-grams of the prompt that the target has, worst of 3 to 5"});
  c.add("longest_run", t.longest_run, {"tokens", "longest run that prompt and target share"});
  c.add("code_tokens", t.code_tokens, {"tokens", "of the target, as runs and overlaps count"});
  c.add("cosine", t.cosine, {"", "of the embeddings of prompt and target"});
  c.add("copy_embedding", f.copy_emb, {"", "the same, 0 for unrelated pairs"});
  c.add("asks_repetition", t.asks_repetition, {"", "asks for text that it holds itself"});
  c.add("prompt_nll", t.prompt_nll, {"nats/token", "of the prompt itself: readability"});
  c.add("match", f.match, {"", "S, the weighted similarities"});
  c.add("loss", f.loss, {"", "L_code = 1 - S"});
  c.add("fitness", f.value, {"", "S less length and copying"});
  c.add("stop", t.stop, {"", "why the answer ended: eos, stop or length"});
  c.add("completion_tokens", t.tokens, {"tokens", "of the answer"});
  c.add("completion_hash", t.hash, {"", "of the answer's ids"});
  c.add("margin", t.margin, {"nats", "smallest gap of the best and the second token on the way"});
}

}  // namespace

void TargetRow::columns(Columns& c) const {
  c.add("target_id", target_id, kTarget);
  c.add("language", language, {"", "python, javascript or rust"});
  c.add("license", license, {"", "of its source"});
  c.add("code", code, {"", "the target T"});
  c.add("tokens", tokens, {"tokens", "|T|, in normal form"});
  c.add("stated_tokens", stated_tokens, {"tokens", "metadata.len_tokens of the file; 0: none"});
  c.add("most_tokens", most_tokens, {"tokens", "L_max = floor(|T| / data.most_ratio)"});
  c.add("corridor_low", corridor_low, {"tokens", "ceil(|T| / data.corridor_ratio)"});
  c.add("probes", probes, {"probes", "calls by which a program is compared; 0: none were safe"});
  c.add("bits", bits, {"bits", "of T under the model without a prompt"});
  c.add("gzip_bytes", gzip_bytes, {"bytes", "of T compressed"});
  c.add("hand_prompts", hand_prompts, {"prompts", "by hand"});
  c.add("best_manual", best_manual, {"", "largest S of a prompt by hand; NaN: none"});
  c.add("noise_ceiling", noise_ceiling, {"", "largest S of random tokens; NaN: not tried"});
  c.add("verdict", verdict, {"", "of Stage 1: feasible, simplify, drop; untried"});
}

void EvaluationRow::columns(Columns& c) const {
  c.add("target_id", target_id, kTarget);
  c.add("method", method, kMethod);
  c.add("seed", seed, kSeed);
  c.add("generation", generation, {"", "from 0"});
  c.add("index", index, {"", "number of the evaluation within the search, from 0"});
  c.add("operation", operation, {"", "what made the prompt"});
  c.add("parents", parents, {"", "indices of evaluations, as JSON"});
  c.add("decoded", terms.decoded,
        {"", "the answer was written; else the target's loss alone, and no similarity"});
  c.add("prompt", prompt, kPrompt);
  c.add("prompt_ids", prompt_ids, kPromptIds);
  add_terms(c, terms, fitness);
  c.add("level", level, kLevel);
  c.add("failed", failed, kFailed);
  c.add("accepted", accepted, {"", "R1-R4 and R6 hold"});
  c.add("cache_hit", cache_hit, {"", "this search had evaluated the prompt before"});
  c.add("calls", calls, kCalls);
}

void CompletionRow::columns(Columns& c) const {
  c.add("target_id", target_id, kTarget);
  c.add("prompt", prompt, kPrompt);
  c.add("completion_ids", completion_ids, {"", "token ids of the answer, as JSON"});
  c.add("completion", completion, {"", "its text"});
  c.add("completion_hash", completion_hash, {"", "of the ids"});
  c.add("seconds", seconds, {"s", "from request to result", true});
}

void AcceptedRow::columns(Columns& c) const {
  c.add("target_id", target_id, kTarget);
  c.add("method", method, kMethod);
  c.add("seed", seed, kSeed);
  c.add("index", index, {"", "of its evaluation within the search"});
  c.add("calls", calls, kCalls);
  c.add("prompt", prompt, kPrompt);
  c.add("prompt_ids", prompt_ids, kPromptIds);
  c.add("completion", completion, {"", "M(P)"});
  c.add("completion_ids", completion_ids, {"", "its token ids, as JSON"});
  c.add("level", level, kLevel);
  add_terms(c, terms, fitness);
  c.add("ratio", ratio, {"", "|T| / |P|"});
  c.add("prompt_bits", prompt_bits, {"bits", "|P| log2 V: what a prompt of this length can tell"});
  c.add("batches", batches, {"sequences", "batch sizes of the repeated runs, as JSON"});
  c.add("repeats_equal", repeats_equal, {"", "R5: all runs gave the same ids"});
  c.add("accepted", accepted, {"", "R1-R6 hold"});
}

void SummaryRow::columns(Columns& c) const {
  c.add("target_id", target_id, kTarget);
  c.add("method", method, kMethod);
  c.add("seed", seed, kSeed);
  c.add("calls_requested", calls_requested, {"calls", "asked for, known answers included"});
  c.add("calls_executed", calls_executed, kCalls);
  c.add("cache_hits", cache_hits, {"calls", "the difference"});
  c.add("nll_passes", nll_passes,
        {"passes", "losses of the target: with each new answer, and without one"});
  c.add("gradient_calls", gradient_calls, {"calls", "of calls_executed, gradients"});
  c.add("proposal_calls", proposal_calls, {"calls", "of calls_executed, proposals"});
  c.add("generations", generations, {"", "waves with evaluations"});
  c.add("calls_to_success", calls_to_success, {"calls", "to the first accepted prompt; -1: none"});
  c.add("generations_to_success", generations_to_success, {"", "likewise, from 1"});
  c.add("censored", censored, {"", "it ended without an accepted prompt"});
  c.add("successes", successes, {"prompts", "distinct accepted ones"});
  c.add("best_fitness", best_fitness, {"", "largest Fit"});
  c.add("best_match", best_match, {"", "S of the same prompt"});
  c.add("best_prompt", best_prompt, {"", "the same prompt"});
  c.add("best_tokens", best_tokens, kTokens);
  c.add("level", level, kLevel);
  c.add("stop_rule", stop_rule,
        {"", "success, budget, generations, stagnation, or what the method says"});
}

void DiversityRow::columns(Columns& c) const {
  c.add("target_id", target_id, kTarget);
  c.add("method", method, {"", "whose accepted prompts; all: those of every method"});
  c.add("prompts", prompts, {"prompts", "distinct accepted ones, n"});
  c.add("self_bleu_2", self_bleu_2, {"", "mean BLEU-2 of each against the others; grows with n"});
  c.add("self_bleu_4", self_bleu_4, {"", "the same with BLEU-4"});
  c.add("distance_mean", distance_mean, {"", "1 - cosine of the embeddings of two prompts"});
  c.add("distance_min", distance_min, {"", "smallest"});
  c.add("distance_10", distance_10, {"", "10th percentile"});
  c.add("distance_50", distance_50, {"", "median"});
  c.add("distance_90", distance_90, {"", "90th percentile"});
  c.add("clusters", clusters, {"", "k with the largest mean silhouette; 0: not clustered"});
  c.add("silhouette", silhouette, {"", "its mean; below 0.25: no structure"});
  c.add("paraphrase_90", paraphrase_90,
        {"", "90th percentile of distances between prompts by hand for one target"});
  c.add("other_targets", other_targets, {"", "mean distance of prompts by hand for two targets"});
  c.add("diverse", diverse, {"", "H3: two clusters, pairwise further apart than paraphrases"});
  c.add("reliable", reliable, {"", "ten prompts and more"});
}

void NegativeRow::columns(Columns& c) const {
  c.add("target_id", target_id, kTarget);
  c.add("test", test,
        {"",
         "too_short, noise, copy, print_target, print_bare, wrong_target, case, white_space;"
         " positive"});
  c.add("prompt", prompt, kPrompt);
  c.add("prompt_tokens", prompt_tokens, kTokens);
  c.add("match", match, {"", "S"});
  c.add("level", level, kLevel);
  c.add("failed", failed, kFailed);
  c.add("accepted", accepted, {"", "R1-R4 and R6 hold"});
  c.add("as_expected", as_expected, {"", "rejected by a rule that must; the control accepted"});
}

void DecisionRow::columns(Columns& c) const {
  c.add("hypothesis", hypothesis, {"", "H1 to H4, or a check of the run"});
  c.add("statement", statement, {"", "what is asked"});
  c.add("value", value.estimate, {"", "the figure"});
  c.add("low", value.low, {"", "lower end of its 95 % interval"});
  c.add("high", value.high, {"", "upper end"});
  c.add("n", count, {"", "cases behind it"});
  c.add("p", p, {"", "of an exact McNemar test; NaN: none was made"});
  c.add("threshold", threshold, {"", "from the config"});
  c.add("verdict", verdict, {"", "holds, fails, undecided, or why there is none"});
}

void RlTrainingRow::columns(Columns& c) const {
  c.add("target_id", target_id, kTarget);
  c.add("method", method, kMethod);
  c.add("seed", seed, kSeed);
  c.add("update", update, {"", "from 0"});
  c.add("episode_return", episode_return,
        {"", "mean of the episodes behind the update; dpo: mean Fit of its proposals"});
  c.add("policy_loss", policy_loss, {"", "of the last epoch"});
  c.add("value_loss", value_loss, {"", "of the last epoch; NaN: dpo"});
  c.add("entropy", entropy, {"nats", "of the factorised policy; NaN: dpo"});
  c.add("divergence", divergence, {"nats", "mean(rho - 1 - log rho) to the old policy"});
  c.add("gradient_norm", gradient_norm, {"", "before clipping, last step"});
  c.add("epochs", epochs, {"", "over the batch; fewer than asked: the divergence ended it"});
}

store::Schemas ips_schemas() {
  using store::schema_columns;
  store::Schemas out;
  out.tables = {
      {table::targets, "One row for each target", schema_columns<TargetRow>()},
      {table::evaluations, "One row for each prompt that a search tried",
       schema_columns<EvaluationRow>()},
      {table::completions, "One row for each distinct prompt of a target",
       schema_columns<CompletionRow>()},
      {table::accepted, "Distinct prompts that a search or a person found, with their repeats",
       schema_columns<AcceptedRow>()},
      {table::summary, "One row for each search", schema_columns<SummaryRow>()},
      {table::diversity, "How alike the accepted prompts of a target are",
       schema_columns<DiversityRow>()},
      {table::negative, "Prompts that must not be accepted, and the control that must",
       schema_columns<NegativeRow>()},
      {table::rl_training, "One row for each update of a policy", schema_columns<RlTrainingRow>()},
      {table::decisions, "The hypotheses and the checks", schema_columns<DecisionRow>()}};
  out.tensors = {{tensor::embeddings,
                  "Embeddings of length 1, one item for each row of ips/accepted",
                  "",
                  {"prompt", "d"},
                  store::Type::f64}};
  return out;
}

}  // namespace preimage::ips
