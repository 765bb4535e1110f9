#include "vae_step.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace preimage::lipo {
namespace {

constexpr int64_t kPieceRows = 16;

// Four standard normal numbers of one Philox block (Box-Muller in float32).
struct Normals {
  float values[4];
};

Normals normals(const base::RandomStream& stream, uint64_t block) {
  const auto upper = stream.upper_counter();
  const auto bits = base::philox4x32(
      {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), upper[0], upper[1]},
      stream.key());
  Normals out{};
  for (int pair = 0; pair < 2; ++pair) {
    // (bits + 1/2) / 2^32 in (0, 1); float rounds the largest to 1, whose logarithm is 0.
    const float u = (static_cast<float>(bits[2 * pair]) + 0.5f) * 0x1.0p-32f;
    const float angle =
        2 * std::numbers::pi_v<float> * static_cast<float>(bits[2 * pair + 1]) * 0x1.0p-32f;
    const float radius = std::sqrt(-2 * std::log(u));
    out.values[2 * pair] = radius * std::cos(angle);
    out.values[2 * pair + 1] = radius * std::sin(angle);
  }
  return out;
}

// from [rows, 16] at row stride -> to [16, rows] at its own.
void transpose_block(const float* from, int64_t from_stride, int64_t rows, float* to) {
  for (int64_t j = 0; j < kSampleTile; ++j)
    for (int64_t i = 0; i < rows; ++i) to[j * rows + i] = from[i * from_stride + j];
}

}  // namespace

VaeStep::VaeStep(const VaePlan& plan, int64_t batch, float* parameters)
    : plan_(plan),
      kernels_(cpu_kernels()),
      columns_((blocks(batch) | 1) * kSampleTile),
      parameters_(parameters),
      input_(plan.embedding_dim * columns_),
      z_(plan.latent_dim * columns_),
      noise_(z_.size()),
      by_z_(z_.size()),
      cosine_(columns_),
      kl_(columns_),
      gradient_(plan.size),
      first_(plan.size),
      second_(plan.size) {
  layers_.resize(plan.layers.size());
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto& l = plan.layers[i];
    auto& a = layers_[i];
    a.pre.resize(l.out * columns_), a.slope.resize(l.out * columns_);
    a.input_rows.resize(l.in * columns_);
    if (l.normed)
      a.unit.resize(l.out * columns_), a.out.resize(l.out * columns_), a.root.resize(columns_);
    const auto index = static_cast<int64_t>(i);
    a.input = index == 0                     ? input_.data()
              : index == plan.encoder_layers ? z_.data()
                                             : layers_[i - 1].out.data();
    for (int64_t row = 0; row < l.out; row += kPieceRows)
      pieces_.push_back({index, row, std::min(row + kPieceRows, l.out)});
  }
  squares_.resize(pieces_.size());
}

void VaeStep::samples(const Samples& s, int64_t block, const Part& part) {
  load(s, block, part);
  forward(s, block, part);
  if (s.gradient) backward(s, block, part);
}

void VaeStep::load(const Samples& s, int64_t block, const Part& part) {
  const int64_t d = plan_.embedding_dim, from = block * kSampleTile;
  const auto own = share(d, part.index, part.count);
  float* rows = layers_[0].input_rows.data();
  for (int64_t j = from; j < from + kSampleTile; ++j) {
    if (j < s.count) {
      std::copy_n(s.x + s.rows[j] * d + own.first, own.last - own.first, rows + j * d + own.first);
    } else {
      std::fill_n(rows + j * d + own.first, own.last - own.first, 0.0f);
    }
  }
  for (int64_t k = own.first; k < own.last; ++k)
    for (int64_t j = from; j < from + kSampleTile; ++j) input_[k * columns_ + j] = rows[j * d + k];
  if (s.noise && part.last()) draw(s, block);
  part.wait();
}

void VaeStep::draw(const Samples& s, int64_t block) {
  const auto groups = static_cast<uint64_t>((plan_.latent_dim + 3) / 4);
  for (int64_t j = block * kSampleTile; j < (block + 1) * kSampleTile; ++j) {
    for (uint64_t g = 0; g < groups; ++g) {
      const auto four = normals(*s.noise, s.first_noise + static_cast<uint64_t>(j) * groups + g);
      for (int64_t k = 0; k < 4 && static_cast<int64_t>(4 * g) + k < plan_.latent_dim; ++k)
        noise_[(static_cast<int64_t>(4 * g) + k) * columns_ + j] = four.values[k];
    }
  }
}

// pre = W input over the block's samples; the bias is added by what follows.
void VaeStep::linear(int64_t layer, int64_t block, const Part& part) {
  const auto& l = plan_.layers[layer];
  auto& a = layers_[layer];
  const int64_t at = block * kSampleTile;
  const auto own = part.rows(l.out);
  kernels_.product({parameters_ + l.weight + own.first * l.in, l.in, 1, a.input + at, columns_,
                    a.pre.data() + own.first * columns_ + at, columns_, own.last - own.first,
                    kSampleTile, l.in});
  part.wait();
}

NormBlock VaeStep::norm_block(int64_t layer, int64_t block) {
  const auto& l = plan_.layers[layer];
  auto& a = layers_[layer];
  const int64_t at = block * kSampleTile;
  return {parameters_ + l.bias,
          parameters_ + l.scale,
          parameters_ + l.shift,
          a.pre.data() + at,
          a.unit.data() + at,
          a.out.data() + at,
          a.root.data() + at,
          l.out,
          columns_};
}

LatentBlock VaeStep::latent_block(bool noise, int64_t block) {
  const int64_t last = plan_.encoder_layers - 1, at = block * kSampleTile;
  return {parameters_ + plan_.layers[last].bias,
          layers_[last].pre.data() + at,
          noise ? noise_.data() + at : nullptr,
          z_.data() + at,
          kl_.data() + at,
          plan_.latent_dim,
          columns_};
}

void VaeStep::keep_rows(int64_t layer, int64_t block) {
  const int64_t in = plan_.layers[layer].in, at = block * kSampleTile;
  transpose_block(layers_[layer].input + at, columns_, in,
                  layers_[layer].input_rows.data() + at * in);
}

void VaeStep::forward(const Samples& s, int64_t block, const Part& part) {
  const auto count = static_cast<int64_t>(layers_.size());
  for (int64_t i = 0; i < count; ++i) {
    if (i > 0 && s.gradient && part.last()) keep_rows(i, block);
    linear(i, block, part);
    if (part.first()) {
      if (plan_.layers[i].normed) {
        kernels_.norm(norm_block(i, block));
      } else if (i + 1 == plan_.encoder_layers) {
        kernels_.latent(latent_block(s.noise != nullptr, block));
      } else {
        output(s, block);
      }
    }
    part.wait();
  }
}

// The last layer's products to cosines, and to what its gradient starts from.
void VaeStep::output(const Samples& s, int64_t block) {
  const auto last = static_cast<int64_t>(layers_.size()) - 1, at = block * kSampleTile;
  float weight[kSampleTile];
  for (int64_t j = 0; j < kSampleTile; ++j)
    weight[j] = at + j < s.count ? 1 / static_cast<float>(s.count) : 0;
  kernels_.cosine({parameters_ + plan_.layers[last].bias, input_.data() + at,
                   layers_[last].pre.data() + at, cosine_.data() + at, weight,
                   plan_.layers[last].out, columns_});
}

// Slopes of the products of a layer, in place.
void VaeStep::activation_backward(const Samples& s, int64_t layer, int64_t block) {
  const int64_t at = block * kSampleTile;
  auto& a = layers_[layer];
  const auto& l = plan_.layers[layer];
  float* slope = a.slope.data() + at;
  if (l.normed) {
    kernels_.norm_backward(norm_block(layer, block), slope);
  } else if (layer + 1 == plan_.encoder_layers) {
    float weight[kSampleTile];
    for (int64_t j = 0; j < kSampleTile; ++j)
      weight[j] = at + j < s.count ? s.beta / static_cast<float>(s.count) : 0;
    kernels_.latent_backward(latent_block(true, block), {by_z_.data() + at, slope, weight});
  } else {  // the output: its slope stands where its products stood
    for (int64_t o = 0; o < l.out; ++o)
      std::copy_n(a.pre.data() + o * columns_ + at, kSampleTile, slope + o * columns_);
  }
}

void VaeStep::backward(const Samples& s, int64_t block, const Part& part) {
  const int64_t at = block * kSampleTile;
  for (auto i = static_cast<int64_t>(layers_.size()) - 1; i >= 0; --i) {
    const auto& l = plan_.layers[i];
    if (part.first()) activation_backward(s, i, block);
    if (i == 0) break;
    part.wait();
    float* below = (i == plan_.encoder_layers ? by_z_ : layers_[i - 1].slope).data() + at;
    const auto own = part.rows(l.in);
    kernels_.product({parameters_ + l.weight + own.first, 1, l.in, layers_[i].slope.data() + at,
                      columns_, below + own.first * columns_, columns_, own.last - own.first,
                      kSampleTile, l.out});
    part.wait();
  }
}

int64_t VaeStep::cost(int64_t piece) const {
  const auto& p = pieces_[piece];
  return (p.last - p.first) * plan_.layers[p.layer].in;
}

void VaeStep::weight_gradient(int64_t piece, int64_t count) {
  const auto& p = pieces_[piece];
  const auto& l = plan_.layers[p.layer];
  auto& a = layers_[p.layer];
  const int64_t rows = p.last - p.first, used = blocks(count) * kSampleTile;
  const float* slope = a.slope.data() + p.first * columns_;
  float* to = gradient_.data();
  float* weights = to + l.weight + p.first * l.in;
  kernels_.product(
      {slope, columns_, 1, a.input_rows.data(), l.in, weights, l.in, rows, l.in, count});
  kernels_.row_sums({slope, columns_, 1, nullptr, 0, nullptr, 0, rows, used, 0},
                    to + l.bias + p.first);
  double squares =
      kernels_.square_sum(weights, rows * l.in) + kernels_.square_sum(to + l.bias + p.first, rows);
  if (l.normed) {  // `out` holds the slopes to it since the gradient came through
    const float* out = a.out.data() + p.first * columns_;
    kernels_.row_sums(
        {out, columns_, 1, a.unit.data() + p.first * columns_, columns_, nullptr, 0, rows, used, 0},
        to + l.scale + p.first);
    kernels_.row_sums({out, columns_, 1, nullptr, 0, nullptr, 0, rows, used, 0},
                      to + l.shift + p.first);
    squares += kernels_.square_sum(to + l.scale + p.first, rows) +
               kernels_.square_sum(to + l.shift + p.first, rows);
  }
  squares_[piece] = squares;
}

double VaeStep::gradient_norm() const {
  double sum = 0;
  for (const double s : squares_) sum += s;
  return std::sqrt(sum);
}

void VaeStep::update(int64_t piece, const AdamWStep& step) {
  const auto& p = pieces_[piece];
  const auto& l = plan_.layers[p.layer];
  const int64_t rows = p.last - p.first;
  const auto range = [&](int64_t at, int64_t count) {
    kernels_.adamw(step, {parameters_ + at, first_.data() + at, second_.data() + at,
                          gradient_.data() + at, count});
  };
  range(l.weight + p.first * l.in, rows * l.in);
  range(l.bias + p.first, rows);
  if (!l.normed) return;
  range(l.scale + p.first, rows);
  range(l.shift + p.first, rows);
}

}  // namespace preimage::lipo
