// The numerical half of lipo, beside bench/peers/lipo_peer.py (bench/lipo.sh runs both):
//
//   lipo_bench gp N EPOCHS                 fit of the deep-kernel Gaussian process, one thread
//   lipo_bench acquisition N SEEDS FOLDER [REFINEMENTS]
//                                          64 starts of 1,024 Sobol points; writes its models there
//   lipo_bench vae ROWS EPOCHS THREADS     training of the autoencoder on ROWS x 768
//   lipo_bench known SEEDS ITERATIONS      lowest error on a known objective, three kinds of
//   proposals
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>

#include "experiments/lipo/known_objective.hpp"
#include "experiments/lipo/vae.hpp"
#include "preimage/base/statistics.hpp"
#include "preimage/base/str.hpp"
#include "preimage/bo/acquisition.hpp"

namespace preimage::lipo {
namespace {

double seconds_of(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// scale sin(step (i + 1)) + offset: the peer makes the same numbers.
at::Tensor wave(int64_t count, double scale, double step, double offset) {
  auto out = at::empty({count}, at::kDouble);
  for (int64_t i = 0; i < count; ++i)
    out.data_ptr<double>()[i] = scale * std::sin(step * static_cast<double>(i + 1)) + offset;
  return out;
}

bo::GpData data_of(int64_t count, uint64_t seed) {
  const double shift = 0.01 * static_cast<double>(seed);
  const auto x = wave(count * 64, 0.5, 1.37 + shift, 0.5).view({count, 64});
  const auto y = at::mv(x, wave(64, 0.02, 0.37, 0)) + wave(count, 0.01, 2.11 + shift, -0.3);
  return {x, {y.data_ptr<double>(), y.data_ptr<double>() + count}, {}};
}

void gp(int64_t count, int64_t epochs) {
  at::set_num_threads(1);
  bo::GpModel model;
  const bo::GpOptions options{.epochs = epochs, .patience = epochs};
  const auto data = data_of(count, 0);
  const double s = seconds_of([&] { model = bo::fit_gp(data, options, {1, "bench", "gp"}); });
  std::printf("preimage gp: N %lld, %lld epochs, one thread: %.3f s, %.3f ms an epoch, loss %.6f\n",
              static_cast<long long>(count), static_cast<long long>(epochs), s,
              1e3 * s / static_cast<double>(epochs), model.loss);
}

void acquisition(int64_t count, int64_t seeds, const std::string& folder, int64_t refinements) {
  double seconds = 0, mean = 0, rounds = 0;
  for (int64_t seed = 0; seed < seeds; ++seed) {
    const auto data = data_of(count, static_cast<uint64_t>(seed));
    const auto number = static_cast<uint64_t>(seed);
    const auto model = bo::fit_gp(data, {.epochs = 200}, {number, "bench", "gp"});
    std::ofstream(folder + "/" + std::to_string(seed) + ".bin", std::ios::binary)
        .write(reinterpret_cast<const char*>(model.parameters.const_data_ptr()),
               static_cast<std::streamsize>(model.parameters.nbytes()));
    const double best = *std::ranges::max_element(data.targets);
    bo::AcquisitionResult found;
    seconds += seconds_of([&] {
      found = bo::maximise_log_ei(model, best, {.refinements = refinements},
                                  {number, "bench", "acquisition"});
    });
    mean += (found.value - std::log(model.target.std)) / static_cast<double>(seeds);
    rounds += static_cast<double>(found.rounds) / static_cast<double>(seeds);
  }
  std::printf(
      "preimage acquisition: N %lld, 64 starts of 1,024, %lld refinements, %lld seeds, %d threads: "
      "%.3f s each, mean log EI %.6f, %.0f rounds\n",
      static_cast<long long>(count), static_cast<long long>(refinements),
      static_cast<long long>(seeds), at::get_num_threads(), seconds / static_cast<double>(seeds),
      mean, rounds);
}

void vae(int64_t rows, int64_t epochs, int threads) {
  at::set_num_threads(threads);
  auto x = (wave(rows * 768, 1, 0.731, 0) + 0.3 * wave(rows * 768, 1, 0.0137, 0)).view({rows, 768});
  x = (x / x.norm(2, {1}, true)).to(at::kFloat);
  VaeOptions options;
  options.epochs = epochs, options.patience = epochs;
  VaeFit fit;
  const double s = seconds_of([&] { fit = fit_vae(x, options, {1, "bench", "vae"}); });
  std::printf(
      "preimage vae: %lld x 768, %lld epochs, %d threads: %.2f s, %.3f ms an epoch, training "
      "reconstruction %.4f\n",
      static_cast<long long>(rows), static_cast<long long>(epochs), threads, s,
      1e3 * s / static_cast<double>(epochs), fit.history.back().reconstruction);
}

void known(int64_t seeds, int64_t iterations, bool adapter) {
  KnownSearchOptions options{.iterations = iterations};
  options.gp.adapter = options.update.adapter = adapter;
  std::vector<double> lowest[3];
  const char* arms[] = {"random", "log_ei", "plan_sign"};
  for (int64_t seed = 0; seed < seeds; ++seed) {
    for (int arm = 0; arm < 3; ++arm) {
      options.proposals = arms[arm];
      lowest[arm].push_back(
          search_known_objective(options, static_cast<uint64_t>(seed)).lowest.back());
    }
  }
  for (int arm = 0; arm < 3; ++arm) {
    std::vector<base::Labelled> values;
    double mean = 0;
    for (size_t i = 0; i < lowest[arm].size(); ++i) {
      mean += lowest[arm][i] / static_cast<double>(seeds);
      values.push_back({lowest[arm][i], true, std::to_string(i)});
      values.push_back({lowest[0][i], false, std::to_string(i)});
    }
    const auto test =
        base::permutation_test(values, {1, "bench", "permutation"}, {.draws = 100000});
    std::printf(
        "known objective: %-9s mean lowest error %.4f over %lld seeds of %lld evaluations; less "
        "random's %+.4f, p %.5f\n",
        arms[arm], mean, static_cast<long long>(seeds),
        static_cast<long long>(options.initial + iterations), test.difference, test.p);
  }
}

}  // namespace
}  // namespace preimage::lipo

int main(int argc, char** argv) {
  const auto number = [&](int i) { return i < argc ? std::atoll(argv[i]) : 0; };
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "gp" && argc == 4) {
    preimage::lipo::gp(number(2), number(3));
  } else if (what == "acquisition" && (argc == 5 || argc == 6)) {
    preimage::lipo::acquisition(number(2), number(3), argv[4], number(5));
  } else if (what == "vae" && argc == 5) {
    preimage::lipo::vae(number(2), number(3), static_cast<int>(number(4)));
  } else if (what == "known" && argc == 5) {
    preimage::lipo::known(number(2), number(3), number(4) != 0);
  } else {
    std::fprintf(stderr,
                 "usage: lipo_bench gp N EPOCHS | acquisition N SEEDS FOLDER [REFINEMENTS] | vae "
                 "ROWS EPOCHS "
                 "THREADS | known SEEDS ITERATIONS ADAPTER\n");
    return 64;
  }
}
