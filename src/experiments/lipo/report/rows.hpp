// The tables of a lipo run: each row type names its columns once.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "preimage/store/columns.hpp"

namespace preimage::lipo {

namespace table {
inline constexpr const char* instructions = "lipo/instructions";
inline constexpr const char* evaluations = "lipo/evaluations";
inline constexpr const char* hyperband = "lipo/hyperband";
inline constexpr const char* vae = "lipo/vae";
inline constexpr const char* vae_quality = "lipo/vae_quality";
inline constexpr const char* gp = "lipo/gp";
inline constexpr const char* iterations = "lipo/iterations";
inline constexpr const char* acquisition = "lipo/acquisition";
inline constexpr const char* arms = "lipo/arms";
inline constexpr const char* asked = "lipo/asked";
inline constexpr const char* comparisons = "lipo/comparisons";
inline constexpr const char* finalists = "lipo/finalists";
// Tensors.
inline constexpr const char* embeddings = "lipo/embeddings";
inline constexpr const char* latents = "lipo/latents";
inline constexpr const char* vae_parameters = "lipo/vae_parameters";
inline constexpr const char* gp_inputs = "lipo/gp_inputs";
inline constexpr const char* gp_targets = "lipo/gp_targets";
inline constexpr const char* gp_noise = "lipo/gp_noise";
inline constexpr const char* gp_parameters = "lipo/gp_parameters";
inline constexpr const char* proposals = "lipo/proposals";
inline constexpr const char* proposal_latents = "lipo/proposal_latents";
inline constexpr const char* proposal_embeddings = "lipo/proposal_embeddings";
}  // namespace table

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

struct InstructionRow {
  int64_t id = 0;
  std::string style, text;
  int64_t wrong = -1, items = 0;

  void columns(store::Columns& c) const {
    c.add("id", id, {"", "place in the pool; row of lipo/embeddings and lipo/latents"});
    c.add("style", style, {"", "of the writer's prompt; empty where a file names none"});
    c.add("text", text, {"", "the instruction"});
    c.add("wrong", wrong, {"items", "wrong answers at its highest fidelity; -1: never evaluated"});
    c.add("items", items, {"items", "that fidelity"});
  }
};

struct EvaluationRow {
  std::string instruction, split;
  int64_t begin = 0, end = 0;
  std::string bits;
  int64_t wrong = 0;

  void columns(store::Columns& c) const {
    c.add("instruction", instruction, {"", "its text"});
    c.add("split", split, {"", "validation or test"});
    c.add("begin", begin, {"items", "first item of the block"});
    c.add("end", end, {"items", "behind its last"});
    c.add("bits", bits, {"", "for each item 1: right, 0: wrong"});
    c.add("wrong", wrong, {"items", "zeros of bits"});
  }
};

struct HyperbandRow {
  int64_t bracket = 0, stage = 0, candidates = 0, items = 0, instruction = 0, proposal = 0;
  bool by_model = false;
  double score = not_a_number;
  int64_t wrong = 0;
  double error = 0;
  int64_t calls = 0;
  bool kept = false;

  void columns(store::Columns& c) const {
    c.add("bracket", bracket, {"", "s of Hyperband"});
    c.add("stage", stage, {"", "i, from 0"});
    c.add("candidates", candidates, {"", "of this stage"});
    c.add("items", items, {"items", "fidelity of this stage"});
    c.add("instruction", instruction, {"", "id of the candidate"});
    c.add("proposal", proposal, {"", "number of its proposal, over the run"});
    c.add("by_model", by_model, {"", "proposed by expected improvement, not drawn"});
    c.add("score", score,
          {"", "expected improvement of the proposal, in errors; NaN without a model"});
    c.add("wrong", wrong, {"items", "wrong answers"});
    c.add("error", error, {"", "wrong over items"});
    c.add("calls", calls, {"calls", "model calls of this evaluation: items not asked before"});
    c.add("kept", kept, {"", "for the next stage; of the last stage, its best"});
  }
};

struct VaeRow {
  int64_t epoch = 0;
  double reconstruction = 0, kl = 0, held_out = 0, beta = 0, learning_rate = 0;

  void columns(store::Columns& c) const {
    c.add("epoch", epoch, {"", "from 0"});
    c.add("reconstruction", reconstruction, {"", "training mean of 1 - cosine, z sampled"});
    c.add("kl", kl, {"nats", "summed over dimensions, mean over rows"});
    c.add("held_out", held_out, {"", "1 - cosine of decode(mu) on held-out rows; NaN without any"});
    c.add("beta", beta, {"", "weight of kl"});
    c.add("learning_rate", learning_rate, {"", "of the epoch"});
  }
};

struct VaeQualityRow {
  int64_t instructions = 0, epochs = 0, best_epoch = 0;
  bool early_stopped = false;
  double cosine_mean = 0, cosine_std = 0, cosine_min = 0;
  double sampled_mean = 0, sampled_std = 0, sampled_min = 0;
  double kl_mean = 0;
  int64_t active_units = 0, latent_dim = 0;
  double effective_rank = 0;

  void columns(store::Columns& c) const {
    c.add("instructions", instructions, {"", "rows it was fitted to and is measured on"});
    c.add("epochs", epochs, {"", "run"});
    c.add("best_epoch", best_epoch, {"", "whose weights are kept"});
    c.add("early_stopped", early_stopped, {"", "before vae_epochs"});
    c.add("cosine_mean", cosine_mean, {"", "of x and decode(mu)"});
    c.add("cosine_std", cosine_std, {"", "of the same"});
    c.add("cosine_min", cosine_min, {"", "of the same"});
    c.add("sampled_mean", sampled_mean, {"", "of x and decode(z), z sampled"});
    c.add("sampled_std", sampled_std, {"", "of the same"});
    c.add("sampled_min", sampled_min, {"", "of the same"});
    c.add("kl_mean", kl_mean, {"nats", "summed over dimensions"});
    c.add("active_units", active_units, {"", "dimensions whose mu has a variance above 0.01"});
    c.add("latent_dim", latent_dim, {"", "dimensions in all"});
    c.add("effective_rank", effective_rank, {"", "of mu: exp of its singular values' entropy"});
  }
};

// One fit of a process; its data and parameters are the rows of the tensors lipo/gp_*.
struct GpRow {
  std::string arm;
  int64_t seed = 0, number = 0, observations = 0, items = 0, epochs = 0;
  double loss = 0, outputscale = 0, noise = 0, lengthscale_min = 0, lengthscale_mean = 0,
         jitter = 0;
  double target_mean = 0, target_std = 0;

  void columns(store::Columns& c) const {
    c.add("arm", arm,
          {"", "whose process; hyperband_proposals: of the proposals inside Hyperband"});
    c.add("seed", seed, {"", "repetition of the arm"});
    c.add("number", number, {"", "round of the arm, or number of the proposal"});
    c.add("observations", observations, {"", "rows of data"});
    c.add("items", items, {"items", "highest fidelity among them"});
    c.add("epochs", epochs, {"", "run"});
    c.add("loss", loss, {"nats", "lowest: - (log likelihood + log priors) / observations"});
    c.add("outputscale", outputscale, {"", "of the kernel, standardised"});
    c.add("noise", noise, {"", "variance, standardised; NaN where it is each observation's own"});
    c.add("lengthscale_min", lengthscale_min, {"", "shortest"});
    c.add("lengthscale_mean", lengthscale_mean, {"", "mean over features"});
    c.add("jitter", jitter, {"", "added to the diagonal"});
    c.add("target_mean", target_mean, {"", "of the targets, which are -error"});
    c.add("target_std", target_std, {"", "of the same, N - 1"});
  }
};

struct IterationRow {
  std::string arm;
  int64_t seed = 0, round = 0;
  std::string text, first_text;
  int64_t asked = 0, asked_items = 0;
  double predicted_mean = not_a_number, predicted_std = not_a_number;
  double acquisition = not_a_number;
  double gap_align = not_a_number, gap_code = not_a_number, gap_plan = not_a_number;
  double cosine = not_a_number, nearest = not_a_number;
  int64_t active_bounds = -1, inversion_rounds = 0, redraws = 0, observations = 0;
  int64_t wrong = -1;
  double error = not_a_number;
  int64_t calls = 0;
  double best_error = 1;

  void columns(store::Columns& c) const {
    c.add("arm", arm, {"", "which search"});
    c.add("seed", seed, {"", "its repetition"});
    c.add("round", round, {"", "of the arm, from 0"});
    c.add("text", text, {"", "instruction that was asked, the first of several"});
    c.add("first_text", first_text, {"", "what the proposal read before the loop of inversion"});
    c.add("asked", asked, {"", "instructions asked in this round"});
    c.add("asked_items", asked_items, {"items", "that the first was asked on"});
    c.add("predicted_mean", predicted_mean, {"", "of the error, before it was evaluated"});
    c.add("predicted_std", predicted_std, {"", "of the same, without observation noise"});
    c.add("acquisition", acquisition, {"nats", "log expected improvement of the proposal"});
    c.add("gap_align", gap_align, {"", "1 - cosine of decode(z_opt) and decode(z_inv)"});
    c.add("gap_code", gap_code, {"", "1 - cosine of decode(mu) and decode(z_inv) of one text"});
    c.add("gap_plan", gap_plan, {"", "1 - cosine of decode(z_opt) and the text's embedding"});
    c.add("cosine", cosine, {"", "of decode(z_opt) and the text's embedding"});
    c.add("nearest", nearest, {"", "distance of z_opt to the nearest observation, normalised"});
    c.add("active_bounds", active_bounds, {"", "coordinates of z_opt on the box; -1: no box"});
    c.add("inversion_rounds", inversion_rounds, {"", "of the loop of inversion"});
    c.add("redraws", redraws, {"", "points tried before and not taken"});
    c.add("observations", observations, {"", "that the arm's process was fitted to"});
    c.add("wrong", wrong, {"items", "wrong answers of text; -1 where it was not evaluated"});
    c.add("error", error, {"", "wrong over asked_items"});
    c.add("calls", calls, {"calls", "of Hyperband and this arm, up to and with this round"});
    c.add("best_error", best_error, {"", "lowest validation error at full fidelity so far"});
  }
};

// What an arm pays for: every instruction that it asked.
struct AskedRow {
  std::string arm;
  int64_t seed = 0, round = 0;
  std::string text;
  int64_t items = 0, wrong = 0, calls = 0;

  void columns(store::Columns& c) const {
    c.add("arm", arm, {"", "which search"});
    c.add("seed", seed, {"", "its repetition"});
    c.add("round", round, {"", "of the arm"});
    c.add("text", text, {"", "the instruction"});
    c.add("items", items, {"items", "on the first so many of the validation items"});
    c.add("wrong", wrong, {"items", "wrong answers"});
    c.add("calls", calls, {"calls", "items that neither Hyperband nor the arm had asked before"});
  }
};

struct AcquisitionRow {
  std::string arm;
  int64_t seed = 0, round = 0, start = 0;
  double start_value = 0, final_value = 0;

  void columns(store::Columns& c) const {
    c.add("arm", arm, {"", "which search"});
    c.add("seed", seed, {"", "its repetition"});
    c.add("round", round, {"", "of the arm"});
    c.add("start", start, {"", "of L-BFGS-B, from 0"});
    c.add("start_value", start_value, {"nats", "log expected improvement at the start"});
    c.add("final_value", final_value, {"nats", "where it ended"});
  }
};

// A finished arm, and how its best stands on untouched items.
struct ArmRow {
  std::string arm;
  int64_t seed = 0, rounds = 0, calls = 0, own_calls = 0;
  std::string end, text;
  double validation_error = 0;
  int64_t test_wrong = 0, test_items = 0;
  double test_error = 0, low = 0, high = 0;
  double gain = 0, p = 1;

  void columns(store::Columns& c) const {
    c.add("arm", arm, {"", "which search; hyperband_best: what all start from"});
    c.add("seed", seed, {"", "its repetition"});
    c.add("rounds", rounds, {"", "made"});
    c.add("calls", calls, {"calls", "model calls, Hyperband's among them"});
    c.add("own_calls", own_calls, {"calls", "those behind Hyperband"});
    c.add("end", end,
          {"",
           "budget: all calls used; no_new_text: nothing to ask that it did not know; rounds: the "
           "most it may make; not_evaluated: evaluate_proposals is false; quarantined"});
    c.add("text", text, {"", "its best instruction by validation error"});
    c.add("validation_error", validation_error, {"", "lowest: biased low, the search chose it"});
    c.add("test_wrong", test_wrong, {"items", "wrong answers on untouched items"});
    c.add("test_items", test_items, {"items", "untouched items"});
    c.add("test_error", test_error, {"", "test_wrong over test_items"});
    c.add("low", low, {"", "Wilson's 95 % interval of test_error"});
    c.add("high", high, {"", "its upper end"});
    c.add("gain", gain, {"", "test error of Hyperband's best less this one's"});
    c.add("p", p, {"", "exact McNemar test of the two on the same items"});
  }
};

// An arm beside a control on the same untouched items, repetition by repetition.
struct ComparisonRow {
  std::string arm, control;
  int64_t pairs = 0, better = 0, worse = 0;
  double difference = 0, low = 0, high = 0;

  void columns(store::Columns& c) const {
    c.add("arm", arm, {"", "which search"});
    c.add("control", control,
          {"", "what it is compared with: hyperband_best, where all start, or another arm"});
    c.add("pairs", pairs, {"", "repetitions"});
    c.add("better", better, {"", "pairs in which the arm's test error is the lower"});
    c.add("worse", worse, {"", "in which it is the higher"});
    c.add("difference", difference, {"", "mean test error of the arm less the control's"});
    c.add("low", low, {"", "95 % bootstrap over items, from three pairs on over them too"});
    c.add("high", high, {"", "its upper end"});
  }
};

struct FinalistRow {
  std::string source, text;
  int64_t wrong = 0, items = 0;
  double error = 0, low = 0, high = 0;

  void columns(store::Columns& c) const {
    c.add("source", source,
          {"",
           "baseline: hand-written; first_look: best of the pool on the first items alone; "
           "hyperband: its best; else the arm and its repetition"});
    c.add("text", text, {"", "the instruction"});
    c.add("wrong", wrong, {"items", "wrong answers on untouched items"});
    c.add("items", items, {"items", "untouched items"});
    c.add("error", error, {"", "wrong over items"});
    c.add("low", low, {"", "Wilson's 95 % interval"});
    c.add("high", high, {"", "its upper end"});
  }
};

store::Schemas lipo_schemas();

}  // namespace preimage::lipo
