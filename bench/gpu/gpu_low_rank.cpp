// Changes of low rank beside a frozen matrix: the gradient of each sample to the gains of singular
// vectors, beside the same sums in double, and each sample against itself alone.
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "gpu_check.hpp"
#include "preimage/nn/low_rank.hpp"

namespace preimage::bench {
namespace {

struct Gains {
  at::Tensor y, sum, of_samples;
};

struct LowRankLayer {
  at::Tensor w, down, up, s;
  bool zero;

  Gains gradients(const at::Tensor& x, const at::Tensor& dy,
                  const std::vector<int64_t>& samples) const {
    const auto gain = (zero ? at::zeros_like(s) : s.clone()).requires_grad_();
    nn::LowRank change{
        .down = nn::Weight(down), .up = nn::Weight(up), .gain = gain, .zero_gain = zero};
    change.gain_of_samples =
        at::zeros({static_cast<int64_t>(samples.size()) - 1, s.size(0)}, s.options())
            .requires_grad_();
    const auto y = nn::adapted_linear(x, nn::Weight(w), {change}, samples);
    const auto g = torch::autograd::grad({y}, {gain, change.gain_of_samples}, {dy});
    return {y.detach(), g[0], g[1]};
  }
};

}  // namespace

void check_low_rank(Randoms& random, Findings& findings) {
  const at::AutoGradMode grad(true);
  const std::vector<int64_t> samples = {0, 3, 700, 701, 1400};
  for (const auto dtype : {at::kBFloat16, at::kFloat}) {
    for (const bool zero : {false, true}) {
      const int64_t in = 640, out = 1152, rank = 512, rows = samples.back();
      const LowRankLayer layer{random.normal({out, in}, dtype, 0.04),
                               random.normal({rank, in}, at::kBFloat16, 0.04),
                               random.normal({out, rank}, at::kBFloat16, 0.04),
                               random.normal({rank}, at::kFloat, 0.1), zero};
      const auto x = random.normal({rows, in}, dtype), dy = random.normal({rows, out}, dtype);
      const auto g = layer.gradients(x, dy, samples);
      const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
      const auto h = at::mm(wide(x), wide(layer.down).t()), u = at::mm(wide(dy), wide(layer.up));
      auto y = at::mm(wide(x), wide(layer.w).t());
      if (!zero) y = y + at::mm(h * wide(layer.s), wide(layer.up).t());
      std::vector<at::Tensor> each;
      std::string dependent;
      for (size_t i = 0; i + 1 < samples.size(); ++i) {
        const int64_t first = samples[i], count = samples[i + 1] - first;
        each.push_back((h * u).narrow(0, first, count).sum(0));
        const auto alone =
            layer.gradients(x.narrow(0, first, count), dy.narrow(0, first, count), {0, count});
        if (!same_bits(alone.of_samples[0], g.of_samples[static_cast<int64_t>(i)]) ||
            !same_bits(alone.y, g.y.narrow(0, first, count)))
          dependent += std::to_string(i) + " ";
      }
      const auto name = base::str("low rank ", dtype == at::kFloat ? "f32" : "bf16",
                                  zero ? ", knobs at zero" : "");
      const double limit = 1e-2;  // factors are bfloat16, and so are their products on CUDA
      findings.add(name + " product", relative_error(g.y, y), limit);
      findings.add(name + " gradient of each sample", relative_error(g.of_samples, at::stack(each)),
                   limit, dependent);
      findings.add(name + " gradient", relative_error(g.sum, (h * u).sum(0)), limit);
    }
  }
}

}  // namespace preimage::bench
