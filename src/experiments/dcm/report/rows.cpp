#include "report/rows.hpp"

namespace preimage::dcm {
namespace {

constexpr const char* nats = "nats/token";

ColumnText seconds_text(const char* description) {
  return {"s", description, true};
}

void add_interval(Columns& c, const std::string& column, const base::Interval& interval) {
  c.add(column.c_str(), interval.estimate, {"", "rate over pairs"});
  c.add((column + "_low").c_str(), interval.low, {"", "lower end of Wilson's 95 % interval"});
  c.add((column + "_high").c_str(), interval.high, {"", "upper end of Wilson's 95 % interval"});
}

}  // namespace

void UnitColumns::columns(Columns& c) const {
  c.add("stage", stage, {"", "single, joint, ksweep or paraphrase"});
  c.add("pair_index", pair_index, {"", "place of the pair in the seeded draw, from 0"});
  c.add("pair_id", pair_id, {"", "id of the pair in its data set"});
  c.add("k", k, {"vectors", "content vectors"});
  c.add("init", init, {"", "start of the content vectors: gauss, gauss-rms, vocab, mean, text"});
}

void FirstSteps::columns(Columns& c) const {
  c.add("steps_to_conv", conv, {"steps", "first step at which conv held; -1: never"});
  c.add("steps_to_tight", tight, {"steps", "first step at which tight held; -1: never"});
  c.add("steps_to_exact", exact,
        {"steps", "first step at which the likeliest tokens were the targets; -1: never"});
}

void RestartSummary::columns(Columns& c) const {
  c.add("restarts_run", run, {"", "restarts that ran"});
  c.add("restarts_needed", needed,
        {"", "1 + index of the first restart that reproduced its targets; -1: none did"});
  c.add("best_restart", best,
        {"",
         "index of the restart chosen: the smallest total loss of those that reproduced their "
         "targets, or of all"});
  c.add("total_steps", total_steps, {"steps", "steps of all restarts together"});
  c.add(
      "restart_distance", distance,
      {"", "root-mean-square distance between solutions of two restarts, mean over pairs of them"});
  c.add("restart_loss_spread", loss_spread,
        {nats, "standard deviation of the restarts' final total losses"});
}

void CurveColumns::columns(Columns& c) const {
  c.add("curve_class", std::string(name(report.curve)),
        {"", "DIVERGED, FLAT, DIVERGING, OSCILLATING, PLATEAU_THEN_DROP or MONOTONE"});
  c.add("curve_health", std::string(health(report.curve)), {"", "OK, WARN or FAIL"});
  c.add("curve_drop", report.drop, {"", "fall of the smoothed loss over its start"});
  c.add("curve_rebound", report.rebound, {"", "rise from the least smoothed loss over the fall"});
  c.add("curve_up_down", report.up_down, {"", "sum of rises over sum of falls of the raw loss"});
}

void ConflictColumns::columns(Columns& c) const {
  c.add("conflict", report.anti_correlate,
        {"", "the losses of question and answer anti-correlate; false where r_d is NaN"});
  c.add("kappa", report.mean_kappa, {"", "cosine between the two gradients, mean over steps"});
  c.add("kappa_negative", report.fraction_negative, {"", "fraction of steps with kappa < 0"});
  c.add("kappa_first", report.thirds_kappa[0], {"", "mean kappa of the first third of steps"});
  c.add("kappa_middle", report.thirds_kappa[1], {"", "mean kappa of the second third of steps"});
  c.add("kappa_last", report.thirds_kappa[2], {"", "mean kappa of the last third of steps"});
  c.add("r_d", report.r_d,
        {"", "correlation of the changes of the two losses over windows; NaN: fewer than ten"});
  c.add("gradient_ratio", report.median_ratio, {"", "|g_Q| / |g_A|, median over steps"});
}

void PairRow::columns(Columns& c) const {
  unit.columns(c);
  c.add("article", article, {"", "article or other group the pair is from"});
  c.add("seed", seed, {"", "seed of the run"});
  c.add("question", question, {"", "target text, without EOS"});
  c.add("answer", answer, {"", "target text, without EOS"});
  c.add("n_q", n_q, {"tokens", "length of the question, with EOS where appended"});
  c.add("n_a", n_a, {"tokens", "length of the answer, with EOS where appended"});
  c.add("loss_q", loss_q, {nats, "loss of the question under the chosen content vectors"});
  c.add("loss_a", loss_a, {nats, "loss of the answer under the chosen content vectors"});
  c.add("loss_q_without_eos", loss_q_without_eos, {nats, "loss_q over the text's tokens alone"});
  c.add("loss_a_without_eos", loss_a_without_eos, {nats, "loss_a over the text's tokens alone"});
  c.add("max_nll_q", max_nll_q, {"nats", "the question's worst token"});
  c.add("max_nll_a", max_nll_a, {"nats", "the answer's worst token"});
  c.add("random_q", random_q, {nats, "R: question behind mode and random vectors, mean of draws"});
  c.add("random_a", random_a, {nats, "R: answer behind mode and random vectors, mean of draws"});
  c.add("full_q", full_q, {nats, "F: question behind the text of the answer"});
  c.add("full_q_bos", full_q_bos, {nats, "question behind the begin-of-sequence token alone"});
  c.add("full_a", full_a, {nats, "F: answer behind the text of the question"});
  c.add("full_a_passage", full_a_passage, {nats, "answer behind passage and question"});
  c.add("single_q", single_q, {nats, "S: question behind one random token, mean of draws"});
  c.add("single_a", single_a, {nats, "S: answer behind one random token, mean of draws"});
  c.add("conv", convergence.conv, {"", "both targets: loss < 0.3 R or loss < 2 F (as configured)"});
  c.add("conv_q", convergence.conv_q, {"", "the question meets the rule"});
  c.add("conv_a", convergence.conv_a, {"", "the answer meets the rule"});
  c.add("conv_sum", convergence.conv_sum, {"", "the rule on the sums of Q and A"});
  c.add("conv_by_baseline", convergence.conv_by_baseline,
        {"", "R or S alone meets the rule for both targets: conv says nothing here"});
  c.add("tight", convergence.tight, {"", "every token of both targets has p > 1/2"});
  c.add("exact", convergence.exact, {"", "greedy decoding gives both targets, token for token"});
  c.add("steps", steps, {"steps", "steps of the chosen restart"});
  first.columns(c);
  restarts.columns(c);
  curve.columns(c);
  conflict.columns(c);
  c.add("nearest_distance", nearest_distance,
        {"rms(E) sqrt(d)", "distance to the nearest token's embedding, mean over vectors"});
  c.add("decoded_q", decoded_q, {"", "greedy text behind the question's mode"});
  c.add("decoded_a", decoded_a, {"", "greedy text behind the answer's mode"});
  c.add("f1_q", f1_q, {"", "token F1 of decoded_q"});
  c.add("f1_a", f1_a, {"", "token F1 of decoded_a"});
  c.add("cosine_q", cosine_q,
        {"", "cosine of decoded_q's and the question's embeddings; NaN without dcm.text_encoder"});
  c.add("cosine_a", cosine_a,
        {"", "cosine of decoded_a's and the answer's embeddings; NaN without dcm.text_encoder"});
  c.add("repetition_q", repetition_q, {"", "decoded_q has a 4-gram three times or more"});
  c.add("repetition_a", repetition_a, {"", "decoded_a has a 4-gram three times or more"});
  c.add("grade_q", grade_q, {"", "pass, partial or fail"});
  c.add("grade_a", grade_a, {"", "pass, partial or fail"});
  c.add("grade", grade, {"", "the worse of grade_q and grade_a"});
  c.add("seconds", seconds, seconds_text("its restarts' shares of the time of their batches"));
}

void SingleRow::columns(Columns& c) const {
  unit.columns(c);
  c.add("article", article, {"", "article or other group the pair is from"});
  c.add("target", target, {"", "question or answer"});
  c.add("seed", seed, {"", "seed of the run"});
  c.add("n", n, {"tokens", "length of the target, with EOS where appended"});
  c.add("loss", loss, {nats, "loss under the chosen content vectors"});
  c.add("loss_without_eos", loss_without_eos, {nats, "loss over the text's tokens alone"});
  c.add("max_nll", max_nll, {"nats", "the worst token"});
  c.add("random", random, {nats, "R: behind mode and random vectors, mean of draws"});
  c.add("full", full, {nats, "F: behind the text of the other target"});
  c.add("single", single, {nats, "S: behind one random token, mean of draws"});
  c.add("conv", conv, {"", "loss < 0.3 R or loss < 2 F (as configured)"});
  c.add("conv_by_baseline", conv_by_baseline,
        {"", "R or S alone meets the rule: conv says nothing here"});
  c.add("tight", tight, {"", "every token has p > 1/2"});
  c.add("exact", exact, {"", "greedy decoding gives the target, token for token"});
  c.add("steps", steps, {"steps", "steps of the chosen restart"});
  first.columns(c);
  restarts.columns(c);
  curve.columns(c);
  c.add("decoded", decoded, {"", "greedy text"});
  c.add("f1", f1, {"", "token F1 of decoded"});
  c.add("cosine", cosine,
        {"", "cosine of decoded's and the target's embeddings; NaN without dcm.text_encoder"});
  c.add("grade", grade, {"", "pass, partial or fail"});
  c.add("seconds", seconds, seconds_text("its restarts' shares of the time of their batches"));
}

void BaselineRow::columns(Columns& c) const {
  c.add("pair_index", pair_index, {"", "place of the pair in the seeded draw, from 0"});
  c.add("pair_id", pair_id, {"", "id of the pair in its data set"});
  c.add("target", target, {"", "question or answer"});
  c.add("kind", kind, {"", "random, full, full_bos, full_passage or single"});
  c.add("k", k, {"vectors", "random: vectors in front of the target; 0 for the other kinds"});
  c.add("draw", draw, {"", "number of the draw, from 0"});
  c.add("n", n, {"tokens", "length of the target, with EOS where appended"});
  c.add("loss", loss, {nats, "loss of the target behind this prompt"});
  c.add("loss_without_eos", loss_without_eos, {nats, "loss over the text's tokens alone"});
  c.add("prompt", prompt, {"", "text in front of the target; single: the token; random: empty"});
}

void RestartRow::columns(Columns& c) const {
  unit.columns(c);
  c.add("target", target, {"", "both; in stage single question or answer"});
  c.add("restart", restart, {"", "index of the restart, from 0"});
  c.add("chosen", chosen,
        {"", "the smallest total loss of the restarts that reproduced their targets, or of all"});
  c.add("loss_q", loss_q, {nats, "loss of the question at best_step"});
  c.add("loss_a", loss_a, {nats, "loss of the answer at best_step"});
  c.add("max_nll_q", max_nll_q, {"nats", "the question's worst token"});
  c.add("max_nll_a", max_nll_a, {"nats", "the answer's worst token"});
  c.add("conv", conv,
        {"", "loss < 0.3 R or loss < 2 F of each target (as configured), with the losses above"});
  c.add("tight", tight, {"", "every token has p > 1/2, with the losses above"});
  c.add("exact", exact, {"", "greedy decoding gives the targets, token for token"});
  c.add("steps", steps, {"steps", "steps taken"});
  c.add(
      "best_step", best_step,
      {"steps", "step whose vectors were kept: the stop rule's, or that of the least total loss"});
  first.columns(c);
  curve.columns(c);
  conflict.columns(c);
  c.add("distance_to_chosen", distance_to_chosen,
        {"", "root-mean-square distance of its solution to the chosen one"});
  c.add("seconds", seconds, seconds_text("its share of the time of its batches"));
}

void CurveRow::columns(Columns& c) const {
  unit.columns(c);
  c.add("target", target, {"", "both; in stage single question or answer"});
  c.add("restart", restart, {"", "index of the restart, from 0"});
  c.add("step", step, {"steps", "step, from 0; losses are those before its update"});
  c.add("learning_rate", learning_rate, {"", "learning rate of the step's update"});
  c.add("loss_q", loss_q, {nats, "loss of the question"});
  c.add("loss_a", loss_a, {nats, "loss of the answer"});
  c.add("kappa", kappa, {"", "cosine between the gradients of the two losses"});
  c.add("gradient_q", gradient_q, {"", "norm of the gradient of loss_q"});
  c.add("gradient_a", gradient_a, {"", "norm of the gradient of loss_a"});
  c.add("manifold", manifold,
        {"",
         "mean squared distance to the nearest token over rms(E)^2; NaN with "
         "manifold_lambda 0"});
}

void NearestTokenRow::columns(Columns& c) const {
  unit.columns(c);
  c.add("slot", slot, {"", "place of the content vector, from 0"});
  c.add("token_id", token_id, {"", "token whose embedding is nearest"});
  c.add("token", token, {"", "its text"});
  c.add("distance", distance, {"rms(E) sqrt(d)", "Euclidean distance to it"});
  c.add("cosine", cosine, {"", "cosine of the angle to it"});
}

void GateRow::columns(Columns& c) const {
  c.add("gate", result.gate, {"", "G1 to G6, table.minimum, table.good, table.excellent, spot"});
  c.add("stage", stage, {"", "stage whose pairs it looks at"});
  c.add("k", k, {"vectors", "content vectors"});
  c.add("init", init, {"", "start of the content vectors"});
  c.add("predicate", result.predicate, {"", "what the verdict is about"});
  c.add("finding", result.finding, {"", "what holds, with the figures"});
  c.add("pairs_asked", result.asked, {"pairs", "pairs the gate asks for; 0: all there are"});
  c.add("pairs_used", result.used, {"pairs", "pairs it looked at, the first by index"});
  add_interval(c, "value", result.value);
  c.add("article_low", result.by_article.low, {"", "lower end, 95 % bootstrap over articles"});
  c.add("article_high", result.by_article.high, {"", "upper end, 95 % bootstrap over articles"});
  c.add("threshold", result.threshold, {"", "what value is compared with"});
  c.add("verdict", std::string(name(result.verdict)),
        {"",
         "pass, fail, inconclusive, no_evidence (a baseline alone would pass too) or not_reached "
         "(fewer pairs than asked for)"});
  c.add("action", result.action, {"", "what is to be done under this verdict"});
  c.add("taken", taken, {"", "what the run did"});
  c.add("detail", result.detail, {"", "further figures"});
}

void SweepRow::columns(Columns& c) const {
  c.add("stage", stage, {"", "ksweep, or paraphrase"});
  c.add("k", k, {"vectors", "content vectors"});
  c.add("init", init, {"", "start of the content vectors"});
  c.add("pairs", pairs, {"pairs", "pairs behind the row"});
  add_interval(c, "conv", conv);
  add_interval(c, "tight", tight);
  add_interval(c, "exact", exact);
  c.add("loss_q", loss_q, {nats, "loss of the question, mean over pairs"});
  c.add("loss_a", loss_a, {nats, "loss of the answer, mean over pairs"});
  c.add("steps", steps, {"steps", "steps of the chosen restart, mean over pairs"});
  c.add("steps_to_conv", steps_to_conv, {"steps", "median over the pairs that got there"});
  c.add("steps_to_tight", steps_to_tight, {"steps", "median over the pairs that got there"});
  c.add("steps_to_exact", steps_to_exact, {"steps", "median over the pairs that got there"});
  c.add("restarts_needed", restarts_needed, {"", "mean over the pairs that were reproduced"});
  c.add("minimum_viable", minimum_viable,
        {"", "smallest K whose exact rate is within the margin of the reference K's"});
  c.add("seconds", seconds, seconds_text("seconds of a unit, mean over pairs"));
  c.add("seconds_to_conv", seconds_to_conv, seconds_text("median share of it up to conv"));
  c.add("seconds_to_tight", seconds_to_tight, seconds_text("median share of it up to tight"));
  c.add("seconds_to_exact", seconds_to_exact, seconds_text("median share of it up to exact"));
}

}  // namespace preimage::dcm
