#include "text_process.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <sstream>

#include "preimage/base/error.hpp"
#include "preimage/bo/expected_improvement.hpp"
#include "preimage/bo/log_ei.hpp"
#include "preimage/optim/lbfgs_box.hpp"

namespace preimage::lipo {
namespace {

constexpr double kLeastScale = 0.01, kMostScale = 100, kLeastNoise = 0.001, kMostNoise = 1;
constexpr double kLeastVariance = 1e-10;

std::vector<std::string> words_of(const std::string& text) {
  std::string lower = text;
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  std::istringstream stream(lower);
  std::vector<std::string> out;
  for (std::string word; stream >> word;) out.push_back(word);
  return out;
}

// The negative log marginal likelihood of standardised targets over the eigenvalues of T, and its
// gradient by the logarithms of scale and noise.
struct Spectrum {
  std::vector<double> values, squares;  // eigenvalues; (q' y)^2

  double negative(double log_scale, double log_noise, double* gradient) const {
    const double scale = std::exp(log_scale), noise = std::exp(log_noise);
    double out = 0;
    gradient[0] = gradient[1] = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double own = scale * values[i] + noise;
      out += (std::log(own) + squares[i] / own + std::log(2 * std::numbers::pi)) / 2;
      const double slope = (1 / own - squares[i] / (own * own)) / 2;
      gradient[0] += slope * scale * values[i];
      gradient[1] += slope * noise;
    }
    return out;
  }
};

// The best of four corners' optima.
void choose_hyperparameters(const Spectrum& spectrum, TextProcess& process) {
  const optim::BoxObjective objective = [&](const optim::BoxBatch& batch) {
    const double* x = batch.x.const_data_ptr<double>();
    for (int64_t i = 0; i < batch.x.size(0); ++i)
      batch.values.data_ptr<double>()[i] =
          spectrum.negative(x[2 * i], x[2 * i + 1], batch.gradients.data_ptr<double>() + 2 * i);
  };
  const auto starts = at::tensor({1.0, 0.1, 1.0, 0.01, 10.0, 0.1, 0.1, 0.5}, at::kDouble).log();
  const optim::Box box{at::tensor({kLeastScale, kLeastNoise}, at::kDouble).log(),
                       at::tensor({kMostScale, kMostNoise}, at::kDouble).log()};
  const auto found = optim::minimise_in_box(objective, starts.view({4, 2}), box);
  const auto best = found.values.argmin().item<int64_t>();
  process.outputscale = std::exp(found.x[best][0].item<double>());
  process.noise = std::exp(found.x[best][1].item<double>());
  process.log_likelihood = -found.values[best].item<double>();
}

}  // namespace

TextCounts text_counts(const std::string& text, const TextKernelOptions& options) {
  const auto words = words_of(text);
  TextCounts out;
  std::string folded;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) folded += ' ';
    folded += words[i];
    std::string gram;
    for (size_t n = 0; n < static_cast<size_t>(options.words) && i + n < words.size(); ++n) {
      gram += '\n' + words[i + n];  // no n-gram of characters holds a line feed
      ++out[gram];
    }
  }
  for (size_t i = 0; i < folded.size(); ++i)
    for (size_t n = 1; n <= static_cast<size_t>(options.characters) && i + n <= folded.size(); ++n)
      ++out[folded.substr(i, n)];
  return out;
}

double text_kernel(const TextCounts& a, const TextCounts& b) {
  int64_t least = 0, most = 0;
  auto x = a.begin();
  auto y = b.begin();
  while (x != a.end() || y != b.end()) {
    const bool only_x = y == b.end() || (x != a.end() && x->first < y->first);
    const bool only_y = x == a.end() || (y != b.end() && y->first < x->first);
    if (only_x) {
      most += (x++)->second;
    } else if (only_y) {
      most += (y++)->second;
    } else {
      least += std::min(x->second, y->second);
      most += std::max((x++)->second, (y++)->second);
    }
  }
  return most > 0 ? static_cast<double>(least) / static_cast<double>(most) : 0;
}

TextProcess fit_text_process(const std::vector<std::string>& texts, std::span<const double> targets,
                             const TextKernelOptions& options) {
  const auto n = static_cast<int64_t>(texts.size());
  base::check(n > 0 && targets.size() == texts.size(), "a process of texts has a target for each");
  TextProcess out{.options = options, .target = bo::target_scale(targets)};
  for (const auto& text : texts) out.counts.push_back(text_counts(text, options));
  auto kernel = at::empty({n, n}, at::kDouble), y = at::empty({n}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) {
    y.data_ptr<double>()[i] = (targets[i] - out.target.mean) / out.target.std;
    for (int64_t j = 0; j <= i; ++j) {
      const double k = text_kernel(out.counts[i], out.counts[j]);
      kernel.data_ptr<double>()[i * n + j] = kernel.data_ptr<double>()[j * n + i] = k;
    }
  }
  const auto [values, vectors] = at::linalg_eigh(kernel);
  const auto along = at::mv(vectors.t(), y);
  Spectrum spectrum;
  for (int64_t i = 0; i < n; ++i) {
    spectrum.values.push_back(std::max(0.0, values[i].item<double>()));
    spectrum.squares.push_back(std::pow(along[i].item<double>(), 2));
  }
  choose_hyperparameters(spectrum, out);
  const auto own = out.outputscale * values.clamp_min(0) + out.noise;
  out.inverse = at::mm(vectors / own, vectors.t());
  out.alpha = at::mv(vectors, along / own);
  return out;
}

TextPosterior predict(const TextProcess& process, const std::vector<std::string>& texts) {
  const auto n = static_cast<int64_t>(process.counts.size());
  TextPosterior out;
  for (const auto& text : texts) {
    const auto counts = text_counts(text, process.options);
    auto k = at::empty({n}, at::kDouble);
    for (int64_t i = 0; i < n; ++i)
      k.data_ptr<double>()[i] = process.outputscale * text_kernel(counts, process.counts[i]);
    const double mean = k.dot(process.alpha).item<double>();
    const double own = counts.empty() ? 0 : process.outputscale;
    const double variance = own - k.dot(at::mv(process.inverse, k)).item<double>();
    out.mean.push_back(mean * process.target.std + process.target.mean);
    out.std.push_back(std::sqrt(std::max(variance, kLeastVariance)) * process.target.std);
  }
  return out;
}

double log_improvement_probability(double best, double mean, double std) {
  const double u = (mean - best) / std;
  if (u > -1) return std::log(bo::normal_cumulative(u));
  return -u * u / 2 + std::log(bo::erfcx(-u / std::numbers::sqrt2)) - std::numbers::ln2;
}

}  // namespace preimage::lipo
