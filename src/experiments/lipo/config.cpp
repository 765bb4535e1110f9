#include "config.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "arms/arm.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/t5/vec2text.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::lipo {
namespace {

namespace fs = std::filesystem;
using base::str;

void vae_fields(base::Fields& f, VaeOptions& o, int64_t& embedding_dim) {
  f.add("embedding_dim", embedding_dim,
        {.help = "width of the embeddings; 0: the encoder's, and another number is refused",
         .min = 0});
  f.add("latent_dim", o.latent_dim, {.help = "of the autoencoder", .min = 1, .max = 256});
  f.add("vae_encoder_dims", o.encoder_dims, {.help = "widths on the way in", .min = 1});
  f.add("vae_decoder_dims", o.decoder_dims, {.help = "widths on the way out", .min = 1});
  f.add("vae_beta", o.beta, {.help = "weight of the KL term", .min = 0, .max = 100});
  f.add("vae_epochs", o.epochs, {.help = "at most", .min = 1, .max = 1e7});
  f.add("vae_annealing_epochs", o.annealing_epochs,
        {.help = "over which beta grows from 0", .min = 0});
  f.add("vae_patience", o.patience, {.help = "epochs without a better one", .min = 1});
  f.add("vae_lr", o.lr, {.help = "AdamW's", .min = 0, .max = 1});
  f.add("vae_eta_min", o.eta_min, {.help = "lowest rate of the cosine", .min = 0, .max = 1});
  f.add("vae_weight_decay", o.weight_decay, {.help = "AdamW's", .min = 0, .max = 10});
  f.add("vae_batch_size", o.batch_size, {.help = "rows of a step", .min = 1});
  f.add("vae_grad_clip", o.grad_clip, {.help = "of the gradient's norm; 0: none", .min = 0});
  f.add("vae_stopping", o.stopping,
        {.help = "held_out: by the reconstruction of a held-out share, best weights kept; plan: by "
                 "the training reconstruction from the first epoch on, last weights kept",
         .choices = {"held_out", "plan"}});
  f.add("vae_holdout", o.holdout, {.help = "held-out share", .min = 0, .max = 0.9});
}

void hyperband_fields(base::Fields& f, bo::HyperbandOptions& o) {
  f.add("bmin", o.min_items, {.help = "smallest fidelity", .unit = "items", .min = 1});
  f.add("eta", o.eta, {.help = "factor between fidelities", .min = 2, .max = 16});
  f.add("hyperband_levels", o.levels,
        {.help = "fidelities of a bracket: exact as in the paper, truncated as in the original "
                 "program, ascending as the plan writes them",
         .choices = {"exact", "truncated", "ascending"}});
  f.add("hyperband_proposals", o.proposals,
        {.help = "what the process is fitted to: paper, the highest level with enough "
                 "observations; min_pct, fidelities of at least min_fidelity_pct; "
                 "all_fidelities, each instruction's latest; random, nothing",
         .choices = {"paper", "min_pct", "all_fidelities", "random"}});
  f.add("min_fidelity_pct", o.min_fidelity_pct, {.help = "of all items", .min = 0, .max = 1});
  f.add("min_observations", o.min_observations,
        {.help = "that a level needs for a model", .min = 2});
  f.add("random_interleaving_prob", o.random_interleaving,
        {.help = "of a proposal without the model", .min = 0, .max = 1});
}

void gp_fields(base::Fields& f, LipoConfig& c) {
  f.add("gp_adapter", c.gp.adapter,
        {.help = "a learned map before the kernel; without it the kernel has a lengthscale for "
                 "each latent dimension"});
  f.add("gp_hidden_dim", c.gp.hidden, {.help = "width inside the adapter", .min = 1, .max = 4096});
  f.add("gp_latent_dim", c.gp.features, {.help = "the adapter's output", .min = 1, .max = 256});
  f.add("gp_noise", c.gp.noise,
        {.help = "learned: one variance; heteroscedastic: p (1 - p) / n of each observation",
         .choices = {"learned", "heteroscedastic"}});
  f.add("gp_fidelities", c.gp_fidelities,
        {.help = "what an arm's process is fitted to first: level, what hyperband_proposals says; "
                 "all, every instruction at its highest fidelity (with heteroscedastic noise)",
         .choices = {"level", "all"}});
  f.add("gp_epochs", c.gp.epochs, {.help = "at most, before the first proposal", .min = 1});
  f.add("gp_lr", c.gp.lr, {.help = "AdamW's", .min = 0, .max = 1});
  f.add("gp_weight_decay", c.gp.weight_decay, {.help = "of all parameters", .min = 0, .max = 10});
  f.add("gp_patience", c.gp.patience, {.help = "epochs without a lower loss", .min = 1});
  f.add("hyperband_gp_epochs", c.hyperband_gp_epochs, {.help = "within Hyperband", .min = 1});
  f.add("hyperband_gp_patience", c.hyperband_gp_patience, {.help = "within Hyperband", .min = 1});
  f.add("gp_retrain_epochs", c.retrain_epochs, {.help = "behind a new observation", .min = 1});
  f.add("gp_retrain_lr", c.retrain_lr, {.help = "behind a new observation", .min = 0, .max = 1});
  f.add("gp_retrain_patience", c.retrain_patience, {.help = "behind a new observation", .min = 1});
}

void acquisition_fields(base::Fields& f, bo::AcquisitionOptions& o) {
  f.add("num_restarts", o.restarts, {.help = "starts of L-BFGS-B", .min = 1, .max = 1e5});
  f.add("raw_samples", o.raw_samples, {.help = "Sobol points", .min = 1, .max = 1e7});
  f.add("latent_margin", o.margin,
        {.help = "share of the range that the box reaches beyond the data", .min = 0, .max = 10});
  f.add("acquisition_eta", o.eta, {.help = "of the choice of starts", .min = 0, .max = 1e3});
  f.add("acquisition_refinements", o.refinements,
        {.help = "further starts around the best end, whose best takes its place; 0: none, as the "
                 "plan",
         .min = 0,
         .max = 1e5});
  f.add("acquisition_max_iterations", o.optimiser.max_iterations, {.help = "of a start", .min = 1});
}

void require_file(const std::string& field, const std::string& path, base::ConfigErrors& errors) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored))
    errors.push_back(str("\"lipo.", field, "\": \"", path, "\": no such file"));
}

void require_model(const std::string& field, const std::string& path, base::ConfigErrors& errors) {
  std::error_code ignored;
  if (!fs::exists(fs::path(path) / "config.json", ignored) &&
      !fs::exists(fs::path(path) / "modules.json", ignored))
    errors.push_back(
        str("\"lipo.", field, "\": \"", path, "\": no checkpoint folder (no config.json there)"));
}

// Of what vec2text's folders say themselves; no weight is read.
void check_inverter(const InverterConfig& c, base::ConfigErrors& errors) {
  const auto count = errors.size();
  require_model("embedder", c.embedder, errors);
  require_model("vec2text_model", c.model, errors);
  if (!c.corrector.empty()) require_model("vec2text_corrector", c.corrector, errors);
  if (errors.size() > count) return;
  if (c.pooling == "pipeline" && !fs::exists(fs::path(c.embedder) / "modules.json"))
    errors.push_back(str("\"lipo.embedder_pooling\": found \"pipeline\", but ", c.embedder,
                         " has no modules.json; \"mean\" takes the bare mean over tokens"));
  const auto expect = [&](const char* field, const std::string& folder, bool corrector) {
    if (lm::is_vec2text_folder(folder) && lm::read_vec2text_config(folder).corrector == corrector)
      return;
    errors.push_back(str("\"lipo.", field, "\": \"", folder, "\": is no ",
                         corrector ? "corrector" : "inversion model", " of vec2text"));
  };
  expect("vec2text_model", c.model, false);
  if (c.corrector.empty()) return;
  expect("vec2text_corrector", c.corrector, true);
  if (c.pooling != "mean")
    errors.push_back(str("\"lipo.embedder_pooling\": found \"", c.pooling,
                         "\", expected \"mean\": vec2text's corrector compares bare means over "
                         "tokens (gtr_base)"));
}

}  // namespace

void TargetConfig::fields(base::Fields& f) {
  f.add("model", model, {.help = "checkpoint that follows the instructions", .required = true});
  f.add("adapter", adapter, {.help = "LoRA adapter in PEFT's layout; empty: none"});
  f.add("dtype", dtype, {.help = "of the computation", .choices = {"float32", "bfloat16"}});
  f.add("chat", chat, {.help = "the prompt is a user's message in the chat template"});
  f.add("prompt", prompt, {.help = "with {question} and {instruction}"});
  f.add("max_new_tokens", max_new_tokens, {.help = "of an answer", .unit = "tokens", .min = 1});
  f.add("extraction", extraction,
        {.help = "of the last number of an answer: whole, with any number of thousands groups; "
                 "recorded, the original program's pattern",
         .choices = {"whole", "recorded"}});
  f.add("block", block, {.help = "items of a unit of work at most", .min = 1});
  f.add("batch", batch,
        {.help = "answers written at once", .min = 1, .role = base::FieldRole::placement});
}

void InversionConfig::fields(base::Fields& f) {
  f.add("use_inversion", use_inversion,
        {.help = "compare the text with the proposal, and invert again where they are apart"});
  f.add("max_inversion_iters", max_iterations, {.help = "of that loop", .min = 1, .max = 100});
  f.add("gap_threshold", gap_threshold, {.help = "1 - cosine", .min = 0, .max = 2});
  f.add("gap_gate", gate,
        {.help = "which gap counts: align, between decode(z_opt) and decode(z_inv); code, between "
                 "decode(z_inv) and decode(mu) of the same text; plan, between decode(z_opt) and "
                 "the text's embedding",
         .choices = {"align", "code", "plan"}});
  f.add("inversion_n_steps", steps, {.help = "of Adam", .min = 1});
  f.add("inversion_lr", lr, {.help = "of Adam", .min = 0, .max = 10});
  f.add("inversion_convergence_threshold", convergence_threshold,
        {.help = "1 - cosine that ends them", .min = 0, .max = 2});
  f.add("gp_input", gp_input,
        {.help = "latent that the process is given for a text: mu of its embedding, or z_inv, "
                 "whose decoding is nearest to it",
         .choices = {"mu", "z_inv"}});
  f.add("accept_cosine", accept_cosine,
        {.help = "between decode(z_opt) and the text's embedding; below it the next of the "
                 "acquisition's optima is tried; 0: any text is taken",
         .min = 0,
         .max = 1});
  f.add("refuse_known", refuse_known,
        {.help = "a text that the arm knows on all items already is refused as accept_cosine does; "
                 "false: it is proposed again, as in the plan, and teaches nothing"});
  f.add("redraws", redraws,
        {.help = "at most, through the acquisition's optima from the highest down; where no text "
                 "is near enough to its point, the nearest unknown one is taken",
         .min = 0,
         .max = 1000});
  f.add("known_redraws", known_redraws,
        {.help = "further ones where all texts were known: points ever farther from the optima, "
                 "until a text is unknown; behind them the arm ends",
         .min = 0,
         .max = 1e5});
}

void LipoConfig::fields(base::Fields& f) {
  f.add("mode", mode,
        {.help = "standard: all of it; skip_hyperband: from hyperband_evals_path; grid: from the "
                 "top_k of grid_path; hyperband_only: without the latent search; debug: standard "
                 "with at most 100 epochs of each training",
         .choices = {"standard", "skip_hyperband", "grid", "debug", "hyperband_only"}});
  f.group("", target);
  f.group("items", items);
  f.group("", ape);
  f.group("", inverter);
  vae_fields(f, vae, embedding_dim);
  hyperband_fields(f, hyperband);
  gp_fields(f, *this);
  acquisition_fields(f, acquisition);
  f.group("", inversion);
  f.add("iterations", iterations,
        {.help = "proposals of an arm: it may ask the model for iterations times all validation "
                 "items",
         .min = 1,
         .max = 1e6});
  f.add("evaluate_proposals", evaluate_proposals,
        {.help = "false: the process is given its own predictions, which no result counts"});
  f.add("arms", arms, {.help = "searches behind Hyperband", .choices = arm_names()});
  f.add("arm_seeds", arm_seeds, {.help = "repetitions of each arm", .min = 1, .max = 10000});
  f.group("cowboys", cowboys);
  f.group("capo", capo);
  f.add("hyperband_evals_path", hyperband_evals_path, {.help = "of mode skip_hyperband"});
  f.add("grid_path", grid_path, {.help = "of mode grid"});
  f.add("top_k", top_k, {.help = "best of the grid that are taken", .min = 2});
  f.add("baselines", baselines,
        {.help = "hand-written instructions, tested beside the found ones"});
}

base::ConfigErrors LipoConfig::check() const {
  base::ConfigErrors errors = hyperband.check(items.validation, "lipo.");
  const auto of_vae = vae.check("lipo.vae_");
  errors.insert(errors.end(), of_vae.begin(), of_vae.end());
  require_model("model", target.model, errors);
  if (!target.adapter.empty())
    require_file("adapter", target.adapter + "/adapter_config.json", errors);
  check_inverter(inverter, errors);
  require_file("items.path", items.path, errors);
  if (!items.test_path.empty()) require_file("items.test_path", items.test_path, errors);
  for (const char* slot : {"{question}", "{instruction}"}) {
    if (target.prompt.find(slot) == std::string::npos)
      errors.push_back(str("\"lipo.prompt\" has no ", slot));
  }
  if (runs_hyperband()) {
    if (!ape.generates()) require_file("ape_cache_path", ape.cache_path, errors);
    if (ape.generates()) require_file("ape_styles", ape.styles, errors);
  }
  if ((mode == "skip_hyperband") == hyperband_evals_path.empty())
    errors.push_back(
        "\"lipo.hyperband_evals_path\" belongs to mode skip_hyperband, which needs it");
  if ((mode == "grid") == grid_path.empty())
    errors.push_back("\"lipo.grid_path\" belongs to mode grid, which needs it");
  if (!hyperband_evals_path.empty())
    require_file("hyperband_evals_path", hyperband_evals_path, errors);
  if (!grid_path.empty()) require_file("grid_path", grid_path, errors);
  if (!evaluate_proposals && std::ranges::find(arms, "capo") != arms.end())
    errors.push_back(
        "\"lipo.arms\" has capo, whose races need evaluations: evaluate_proposals is false");
  if (searches() && arms.empty()) errors.push_back("\"lipo.arms\" is empty");
  if (std::set<std::string>(arms.begin(), arms.end()).size() < arms.size())
    errors.push_back("\"lipo.arms\" names an arm twice; arm_seeds repeats arms");
  return errors;
}

VaeOptions LipoConfig::vae_options() const {
  auto out = vae;
  if (mode == "debug") out.epochs = std::min(out.epochs, debug_epochs);
  return out;
}

bo::GpOptions LipoConfig::gp_options() const {
  auto out = gp;
  if (mode == "debug") out.epochs = std::min(out.epochs, debug_epochs);
  return out;
}

bo::GpOptions LipoConfig::hyperband_gp_options() const {
  auto out = gp_options();
  out.epochs = std::min(out.epochs, hyperband_gp_epochs);
  out.patience = hyperband_gp_patience;
  return out;
}

bo::GpOptions LipoConfig::retrain_options() const {
  auto out = gp_options();
  out.epochs = std::min(out.epochs, retrain_epochs);
  out.patience = retrain_patience;
  out.lr = retrain_lr;
  return out;
}

}  // namespace preimage::lipo
