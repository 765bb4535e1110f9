#include "vae.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "vae_plan.hpp"

namespace preimage::lipo {

void VaeOptions::fields(base::Fields& f) {
  f.add("latent_dim", latent_dim, {.help = "latent dimensions", .min = 1, .max = 4096});
  f.add("vae_encoder_dims", encoder_dims,
        {.help = "widths inside the encoder", .min = 1, .max = 65536});
  f.add("vae_decoder_dims", decoder_dims,
        {.help = "widths inside the decoder", .min = 1, .max = 65536});
  f.add("vae_beta", beta, {.help = "weight of the KL term", .min = 0, .max = 1000});
  f.add("vae_annealing_epochs", annealing_epochs,
        {.help = "epochs over which the KL term's weight rises from 0", .min = 0, .max = 1e9});
  f.add("vae_epochs", epochs, {.help = "most epochs", .min = 1, .max = 1e9});
  f.add("vae_patience", patience,
        {.help = "epochs without a better reconstruction after which training ends",
         .min = 1,
         .max = 1e9});
  f.add("vae_lr", lr, {.help = "learning rate of AdamW at the start", .min = 0, .max = 10});
  f.add("vae_eta_min", eta_min,
        {.help = "where the cosine schedule would end", .min = 0, .max = 10});
  f.add("vae_weight_decay", weight_decay, {.help = "weight decay of AdamW", .min = 0, .max = 1});
  f.add("vae_batch_size", batch_size, {.help = "rows of a step", .min = 1, .max = 65536});
  f.add("vae_grad_clip", grad_clip,
        {.help = "gradient norm of a step; 0 for no clipping", .min = 0});
  f.add(
      "vae_stopping", stopping,
      {.help = "held_out: on rows that are not trained on, counted from the end of the annealing, "
               "best weights kept; plan: on the training reconstruction from the first epoch on, "
               "last weights kept",
       .choices = {"held_out", "plan"}});
  f.add("vae_holdout", holdout, {.help = "share of the rows held out", .min = 0, .max = 0.9});
}

base::ConfigErrors VaeOptions::check(const std::string& prefix) const {
  base::ConfigErrors errors;
  if (stopping == "held_out" && holdout <= 0)
    errors.push_back(base::str("\"", prefix, "vae_holdout\": found ", holdout,
                               ", expected more than 0 where vae_stopping is held_out"));
  if (eta_min > lr)
    errors.push_back(base::str("\"", prefix, "vae_eta_min\": found ", eta_min,
                               ", expected at most vae_lr, which is ", lr));
  return errors;
}

double vae_beta(const VaeOptions& options, int64_t epoch) {
  if (epoch >= options.annealing_epochs) return options.beta;
  return options.beta * static_cast<double>(epoch) / static_cast<double>(options.annealing_epochs);
}

double vae_learning_rate(const VaeOptions& options, int64_t epoch) {
  const double angle =
      std::numbers::pi * static_cast<double>(epoch) / static_cast<double>(2 * options.epochs);
  return options.eta_min + (options.lr - options.eta_min) * (1 + std::cos(angle)) / 2;
}

VaePlan vae_plan(int64_t embedding_dim, const VaeOptions& options) {
  VaePlan plan{.embedding_dim = embedding_dim, .latent_dim = options.latent_dim};
  const auto add = [&](int64_t in, int64_t out, bool normed) {
    VaePlan::Layer layer{.in = in, .out = out, .normed = normed};
    layer.weight = plan.size;
    layer.bias = layer.weight + in * out;
    layer.scale = layer.bias + out;
    layer.shift = layer.scale + (normed ? out : 0);
    plan.size = layer.shift + (normed ? out : 0);
    plan.layers.push_back(layer);
  };
  int64_t width = embedding_dim;
  for (const int64_t out : options.encoder_dims) add(width, out, true), width = out;
  add(width, 2 * options.latent_dim, false);
  plan.encoder_layers = static_cast<int64_t>(plan.layers.size());
  width = options.latent_dim;
  for (const int64_t out : options.decoder_dims) add(width, out, true), width = out;
  add(width, embedding_dim, false);
  return plan;
}

Vae vae_from(int64_t embedding_dim, const VaeOptions& options, const at::Tensor& parameters) {
  const auto plan = vae_plan(embedding_dim, options);
  base::check(parameters.dim() == 1 && parameters.numel() == plan.size &&
                  parameters.scalar_type() == at::kFloat && parameters.is_contiguous(),
              "an autoencoder's parameters are one float vector of its size");
  Vae out{
      .embedding_dim = embedding_dim, .latent_dim = options.latent_dim, .parameters = parameters};
  for (size_t i = 0; i < plan.layers.size(); ++i) {
    const auto& l = plan.layers[i];
    VaeLayer layer{.weight = parameters.narrow(0, l.weight, l.in * l.out).view({l.out, l.in}),
                   .bias = parameters.narrow(0, l.bias, l.out)};
    if (l.normed) {
      layer.scale = parameters.narrow(0, l.scale, l.out);
      layer.shift = parameters.narrow(0, l.shift, l.out);
    }
    auto& half = static_cast<int64_t>(i) < plan.encoder_layers ? out.encoder : out.decoder;
    half.push_back(layer);
  }
  return out;
}

Vae make_vae(int64_t embedding_dim, const VaeOptions& options, const base::RandomStream& random) {
  const auto plan = vae_plan(embedding_dim, options);
  auto parameters = at::zeros({plan.size}, at::kFloat);
  float* to = parameters.data_ptr<float>();
  for (const auto& l : plan.layers) {
    const double bound = 1 / std::sqrt(static_cast<double>(l.in));
    for (int64_t i = l.weight; i < l.bias + l.out; ++i)
      to[i] = static_cast<float>(bound * (2 * random.uniform(static_cast<uint64_t>(i)) - 1));
    if (l.normed) std::fill(to + l.scale, to + l.shift, 1.0f);
  }
  return vae_from(embedding_dim, options, parameters);
}

namespace {

at::Tensor through(const std::vector<VaeLayer>& layers, at::Tensor x) {
  for (const auto& layer : layers) {
    x = at::addmm(layer.bias, x, layer.weight.t());
    if (!layer.scale.defined()) continue;
    x = at::layer_norm(x.relu(), {x.size(1)}, layer.scale, layer.shift, 1e-5);
  }
  return x;
}

struct Spread {
  double mean, std, least;
};

Spread spread_of(const at::Tensor& x) {
  const auto values = x.to(at::kDouble);
  return {values.mean().item<double>(), values.numel() > 1 ? values.std().item<double>() : 0,
          values.min().item<double>()};
}

}  // namespace

VaePosterior vae_encode(const Vae& vae, const at::Tensor& x) {
  const auto both = through(vae.encoder, x);
  return {both.narrow(1, 0, vae.latent_dim), both.narrow(1, vae.latent_dim, vae.latent_dim)};
}

at::Tensor vae_decode(const Vae& vae, const at::Tensor& z) {
  const auto y = through(vae.decoder, z);
  return y / y.norm(2, {1}, true).clamp_min(1e-12);
}

VaeQuality vae_quality(const Vae& vae, const at::Tensor& x, const base::RandomStream& random) {
  const auto posterior = vae_encode(vae, x);
  auto noise = at::empty_like(posterior.mean, at::MemoryFormat::Contiguous);
  for (int64_t i = 0; i < noise.numel(); ++i)
    noise.data_ptr<float>()[i] = static_cast<float>(random.normal(static_cast<uint64_t>(i)));
  const auto sampled = posterior.mean + (posterior.log_variance / 2).exp() * noise;
  const auto cosine = [&](const at::Tensor& z) {
    return spread_of(at::cosine_similarity(vae_decode(vae, z), x, 1));
  };
  const auto own = cosine(posterior.mean), drawn = cosine(sampled);
  VaeQuality out{.cosine_mean = own.mean,
                 .cosine_std = own.std,
                 .cosine_min = own.least,
                 .sampled_mean = drawn.mean,
                 .sampled_std = drawn.std,
                 .sampled_min = drawn.least};
  const auto mean = posterior.mean.to(at::kDouble), log = posterior.log_variance.to(at::kDouble);
  out.kl_mean = (0.5 * (mean.square() + log.exp() - 1 - log)).sum(1).mean().item<double>();
  const auto centred = mean - mean.mean(0, true);
  out.active_units = (centred.square().mean(0) > 0.01).sum().item<int64_t>();
  // Of the centred means: their covariance's eigenvalues are squares of singular values.
  const auto squares = at::linalg_eigvalsh(at::mm(centred.t(), centred)).clamp_min(0);
  const auto values = squares.sqrt();
  const auto share = values / values.sum().clamp_min(1e-300);
  out.effective_rank = (-(share * at::where(share > 0, share, at::ones_like(share)).log()).sum())
                           .exp()
                           .item<double>();
  return out;
}

}  // namespace preimage::lipo
