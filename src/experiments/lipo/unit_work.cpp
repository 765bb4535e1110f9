// What the units of LipoSearch compute.
#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "arms/process.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/bo/expected_improvement.hpp"
#include "preimage/lm/generate/generate.hpp"
#include "search.hpp"
#include "units.hpp"

namespace preimage::lipo {
namespace {

// Elements of the stream of Hyperband's proposals belong to the run, not to a unit.
base::RandomStream proposal_stream(uint64_t seed) {
  return {seed, "hyperband", "proposals"};
}

at::Tensor pool_latents(const Vae& vae, const at::Tensor& embeddings) {
  const at::NoGradGuard no_grad;
  return vae_encode(vae, embeddings).mean.to(at::kDouble);
}

VaeQualityRow quality_row(const VaeFit& fit, const VaeQuality& q, int64_t instructions) {
  return {.instructions = instructions,
          .epochs = fit.epochs,
          .best_epoch = fit.best_epoch,
          .early_stopped = fit.early_stopped,
          .cosine_mean = q.cosine_mean,
          .cosine_std = q.cosine_std,
          .cosine_min = q.cosine_min,
          .sampled_mean = q.sampled_mean,
          .sampled_std = q.sampled_std,
          .sampled_min = q.sampled_min,
          .kl_mean = q.kl_mean,
          .active_units = q.active_units,
          .latent_dim = fit.vae.latent_dim,
          .effective_rank = q.effective_rank};
}

}  // namespace

store::UnitOutput LipoSearch::write_batch(const run::Unit& unit, run::Work& work) const {
  const auto& c = setup_->config.ape;
  const auto& writer = setup_->writer ? *setup_->writer : setup_->model;
  const auto& style = setup_->words->styles.at(unit.key.at("place").get<size_t>());
  const base::RandomStream random(setup_->seed, unit.id, "write");
  const auto& from = c.examples_from == "pool" ? setup_->items.examples : setup_->items.validation;
  lm::GenerateRequest request;
  request.ids =
      eval::prompt_ids(writer, ape_prompt(*setup_->words, style, from, c.task_examples, random));
  request.max_new_tokens = c.max_tokens;
  request.stop_ids = eval::stop_ids(writer);
  request.n = c.batch_size;
  request.sampling.temperature = style.temperature;
  request.sampling.seed = random.bits(~uint64_t{0});
  lm::GenerateOptions options;
  options.batch = setup_->config.target.batch;
  options.tokenizer = &writer.tokenizer;
  options.cancelled = [&work] { return work.stopping(); };
  auto texts = base::Json::array();
  for (const auto& completion : lm::generate(*writer.model, {request}, options))
    texts.push_back(completion.text);
  store::UnitOutput out;
  out.scalars = {{"texts", std::move(texts)}};
  return out;
}

store::UnitOutput LipoSearch::fit_latent_space(const run::Unit& unit) const {
  const auto options = setup_->config.vae_options();
  std::vector<std::string> texts;
  for (const auto& one : instructions_) texts.push_back(one.text);
  const auto embeddings = [&] {
    const OneThread one_thread;
    return setup_->inverter.embed(texts);
  }();
  // On all threads: its bits do not depend on their number.
  const auto fit = fit_vae(embeddings, options, {setup_->seed, unit.id, "vae"});
  const OneThread one_thread;
  const auto quality = vae_quality(fit.vae, embeddings, {setup_->seed, unit.id, "vae quality"});
  const auto latents = pool_latents(fit.vae, embeddings);
  store::UnitOutput out;
  for (int64_t e = 0; e < std::ssize(fit.history); ++e) {
    const auto& epoch = fit.history[static_cast<size_t>(e)];
    out.rows[table::vae].push_back(
        store::to_row(VaeRow{e, epoch.reconstruction, epoch.kl, epoch.held_out,
                             vae_beta(options, e), vae_learning_rate(options, e)}));
  }
  out.rows[table::vae_quality].push_back(
      store::to_row(quality_row(fit, quality, std::ssize(texts))));
  for (int64_t i = 0; i < embeddings.size(0); ++i) {
    out.tensors[table::embeddings].push_back(stored(embeddings[i]));
    out.tensors[table::latents].push_back(stored(latents[i]));
  }
  out.tensors[table::vae_parameters].push_back(stored(fit.vae.parameters));
  out.scalars = {{"epochs", fit.epochs}};
  return out;
}

void LipoSearch::tell_latent_space(const run::Told& told) {
  if (told.quarantined) throw base::Error(base::ExitCode::bug, "the latent space was not fitted");
  const auto output = told.output();
  const auto joined = [&](const char* name) {
    std::vector<at::Tensor> rows;
    for (const auto& row : output.tensors.at(name)) rows.push_back(loaded(row));
    return at::stack(rows);
  };
  store::from_row(output.rows.at(table::vae_quality).front(), vae_quality_);
  store::from_row(output.rows.at(table::vae).back(), last_epoch_);
  const auto embeddings = joined(table::embeddings);
  vae_ = vae_from(embeddings.size(1), setup_->config.vae_options(),
                  loaded(output.tensors.at(table::vae_parameters).front()));
  ground_ = std::unique_ptr<ArmGround>(new ArmGround{.config = setup_->config,
                                                     .inverter = setup_->inverter,
                                                     .vae = vae_,
                                                     .instructions = instructions_,
                                                     .embeddings = embeddings,
                                                     .latents = joined(table::latents),
                                                     .start = {},
                                                     .counts = {},
                                                     .items = setup_->config.items.validation,
                                                     .best = 1,
                                                     .best_text = {}});
}

store::UnitOutput LipoSearch::propose_in_ladder(const run::Unit& unit) const {
  const OneThread one_thread;
  const auto& c = setup_->config;
  const auto observations = ladder_->observations();
  store::UnitOutput out;
  auto free = ladder_->free();
  std::vector<double> scores;
  if (!observations.empty()) {
    ArmGround ground = *ground_;
    ground.start = observations;
    const auto model = bo::fit_gp(arm_data(ground, {}, Sign::corrected), c.hyperband_gp_options(),
                                  {setup_->seed, unit.id, "process"});
    double best = observations.front().error();
    int64_t items = 0;
    for (const auto& one : observations) {
      best = std::min(best, one.error());
      items = std::max(items, one.items);
    }
    const auto at = bo::predict(model, ground.latents.index_select(0, at::tensor(free)));
    for (size_t i = 0; i < free.size(); ++i)
      scores.push_back(bo::expected_improvement_above(-best, at.mean[i], at.std[i]));
    add_fit(out, model, {"hyperband_proposals", 0, unit.key.at("first").get<int64_t>(), items});
  }
  std::vector<Ladder::Proposed> proposed;
  const auto random = proposal_stream(setup_->seed);
  const auto first = unit.key.at("first").get<int64_t>();
  for (int64_t i = 0; i < unit.key.at("count").get<int64_t>(); ++i) {
    const auto one =
        bo::propose(free, scores, random, static_cast<uint64_t>(first + i), c.hyperband);
    const auto at = std::find(free.begin(), free.end(), one.candidate) - free.begin();
    proposed.push_back({one.candidate, one.by_model,
                        scores.empty() ? not_a_number : scores[static_cast<size_t>(at)]});
    free.erase(free.begin() + at);
    if (!scores.empty()) scores.erase(scores.begin() + at);
  }
  out.scalars = {{"proposed", to_json(proposed)}};
  return out;
}

store::UnitOutput LipoSearch::propose_in_arm(const run::Unit& unit) const {
  const auto name = unit.key.at("arm").get<std::string>();
  const auto seed = unit.key.at("seed").get<int64_t>();
  const auto arm = std::find_if(arms_.begin(), arms_.end(), [&](const ArmRun& one) {
    return one.name == name && one.seed == seed;
  });
  const auto step =
      make_arm(name)->propose(*ground_, arm->history, {setup_->seed, unit.id, "round"});
  store::UnitOutput out;
  add_step(out, step, *ground_);
  for (int64_t i = 0; i < std::ssize(step.start_values); ++i) {
    const auto at = static_cast<size_t>(i);
    out.rows[table::acquisition].push_back(store::to_row(AcquisitionRow{
        name, seed, arm->history.round, i, step.start_values[at], step.final_values[at]}));
  }
  if (step.model) add_fit(out, *step.model, {name, seed, arm->history.round, ground_->items});
  return out;
}

}  // namespace preimage::lipo
