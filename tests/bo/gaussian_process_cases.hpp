// The problems of tests/bo/fixtures/gaussian_process.json, as its script makes them.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <string>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/bo/gaussian_process.hpp"

namespace preimage::bo {

// scale sin(step (i + 1)), as the fixtures' script makes it.
inline std::vector<double> wave(int64_t count, double scale, double step, double offset = 0) {
  std::vector<double> out;
  for (int64_t i = 1; i <= count; ++i)
    out.push_back(scale * std::sin(step * static_cast<double>(i)) + offset);
  return out;
}

inline at::Tensor matrix(const std::vector<double>& values, int64_t columns) {
  return at::tensor(values, at::kDouble).view({-1, columns});
}

struct Case {
  base::Json json;
  GpOptions options;
  GpData data;
  at::Tensor start;
};

inline std::vector<Case> cases() {
  const auto fixture =
      base::read_json(std::string(PREIMAGE_TEST_DATA) + "/bo/fixtures/gaussian_process.json");
  std::vector<Case> out;
  for (const auto& json : fixture) {
    Case c{.json = json};
    const int64_t n = json["n"], d = json["inputs"];
    c.options = {.adapter = json["hidden"] != 0,
                 .hidden = json["hidden"],
                 .features = json["features"],
                 .noise = json["noise"]};
    c.data = {matrix(wave(n * d, 0.5, 1.37, 0.7), d), wave(n, 1.2, 2.11, -0.4)};
    const double std = target_scale(c.data.targets).std;
    if (c.options.noise == "heteroscedastic")
      for (int64_t i = 0; i < n; ++i)
        c.data.noise.push_back((0.02 + 0.01 * static_cast<double>(i) / static_cast<double>(n)) *
                               std * std);
    c.start = at::tensor(wave(gp_shape(d, c.options).size(), 0.3, 0.73), at::kDouble);
    out.push_back(c);
  }
  return out;
}

inline GpProblem problem_of(const Case& c) {
  GpProblem out{.shape = gp_shape(c.data.inputs.size(1), c.options),
                .inputs = input_scale(c.data.inputs).normalise(c.data.inputs)};
  const auto scale = target_scale(c.data.targets);
  for (const double y : c.data.targets) out.targets.push_back((y - scale.mean) / scale.std);
  for (const double v : c.data.noise) out.noise.push_back(v / (scale.std * scale.std));
  return out;
}

// Two observations, and five points of which some lie outside of the data.
inline at::Tensor points_of(const Case& c) {
  const int64_t d = c.data.inputs.size(1);
  return at::cat({c.data.inputs.slice(0, 0, 2), matrix(wave(5 * d, 0.9, 0.31, 0.4), d)});
}

}  // namespace preimage::bo
