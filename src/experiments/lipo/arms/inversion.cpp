#include "inversion.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

namespace preimage::lipo {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;  // torch.optim.Adam's

at::Tensor decoded(const Vae& vae, const at::Tensor& latent) {
  return vae_decode(vae, latent.to(at::kFloat).unsqueeze(0))[0];
}

double cosine(const at::Tensor& a, const at::Tensor& b) {
  const auto x = a.to(at::kDouble), y = b.to(at::kDouble);
  return (x.dot(y) / (x.norm() * y.norm())).item<double>();
}

}  // namespace

at::Tensor latent_of(const Vae& vae, const at::Tensor& embedding) {
  const at::NoGradGuard no_grad;
  return vae_encode(vae, embedding.unsqueeze(0)).mean[0].to(at::kDouble);
}

LatentFit fit_latent(const Vae& vae, const bo::InputScale& scale, const at::Tensor& embedding,
                     const InversionConfig& config) {
  const auto min = scale.min.to(at::kFloat), range = scale.range.to(at::kFloat);
  auto z = scale.normalise(latent_of(vae, embedding)).to(at::kFloat).requires_grad_();
  auto first = at::zeros_like(z), second = at::zeros_like(z);
  LatentFit out{.distance = std::numeric_limits<double>::infinity()};
  at::Tensor best;
  for (;; ++out.steps) {
    const auto loss = 1 - at::cosine_similarity(vae_decode(vae, (z * range + min).unsqueeze(0)),
                                                embedding.unsqueeze(0))[0];
    const double value = loss.item<float>();
    if (value < out.distance) {
      out.distance = value;
      best = z.detach().clone();
    }
    if (value < config.convergence_threshold || out.steps == config.steps) break;
    const auto gradient = torch::autograd::grad({loss}, {z})[0];
    const at::NoGradGuard no_grad;
    const auto step = static_cast<double>(out.steps + 1);
    first.mul_(kBeta1).add_(gradient, 1 - kBeta1);
    second.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
    const auto rate = config.lr / (1 - std::pow(kBeta1, step));
    const auto size = (second / (1 - std::pow(kBeta2, step))).sqrt_().add_(kEpsilon);
    z = (z - first / size * rate).detach().requires_grad_();
  }
  out.latent = scale.denormalise(best.to(at::kDouble));
  return out;
}

Inversion invert_latent(const ArmGround& ground, const bo::InputScale& scale,
                        const at::Tensor& latent) {
  const auto& c = ground.config.inversion;
  const auto& vae = ground.vae;
  Inversion out;
  const auto proposal = decoded(vae, latent);
  auto wanted = proposal;  // what is brought to words
  for (;;) {
    const auto text = ground.inverter.invert(wanted.unsqueeze(0)).front();
    if (text.empty() || text == out.text) return out;
    out.text = text;
    if (++out.rounds == 1) out.first_text = text;
    out.embedding = ground.inverter.embed({text})[0];
    out.mu = latent_of(vae, out.embedding);
    out.z_inv = fit_latent(vae, scale, out.embedding, c).latent;
    const auto aligned = decoded(vae, out.z_inv);
    out.gap_align = 1 - cosine(proposal, aligned);
    out.gap_code = 1 - cosine(decoded(vae, out.mu), aligned);
    out.cosine = cosine(proposal, out.embedding);
    out.gap_plan = 1 - out.cosine;
    const double gap =
        c.gate == "align" ? out.gap_align : (c.gate == "code" ? out.gap_code : out.gap_plan);
    if (!c.use_inversion || gap <= c.gap_threshold || out.rounds == c.max_iterations) return out;
    wanted = aligned;
  }
}

}  // namespace preimage::lipo
