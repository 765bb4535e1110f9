#include "preimage/optim/lbfgs_box.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "box_problem.hpp"
#include "preimage/base/error.hpp"

namespace preimage::optim {
namespace {

std::vector<BoxProblem> make_problems(const at::Tensor& start, const Box& box,
                                      const LbfgsBoxOptions& options) {
  const auto x = start.to(at::kDouble).contiguous();
  const int64_t count = x.size(0), d = x.size(1);
  const auto lower = box.lower.to(at::kDouble).expand({count, d}).contiguous();
  const auto upper = box.upper.to(at::kDouble).expand({count, d}).contiguous();
  const auto row = [&](const at::Tensor& t, int64_t i) {
    const double* from = t.const_data_ptr<double>() + i * d;
    return Vector(from, from + d);
  };
  std::vector<BoxProblem> out;
  for (int64_t i = 0; i < count; ++i)
    out.emplace_back(row(x, i), row(lower, i), row(upper, i), options);
  return out;
}

}  // namespace

LbfgsBoxResult minimise_in_box(const BoxObjective& objective, const at::Tensor& start,
                               const Box& box, const LbfgsBoxOptions& options) {
  base::check(start.dim() == 2 && start.size(1) > 0, "starts are [problems, d]");
  auto problems = make_problems(start, box, options);
  const int64_t d = start.size(1);
  LbfgsBoxResult out;
  std::vector<int64_t> open;
  while (true) {
    open.clear();
    for (size_t p = 0; p < problems.size(); ++p)
      if (!problems[p].done()) open.push_back(static_cast<int64_t>(p));
    if (open.empty()) break;
    const auto n = static_cast<int64_t>(open.size());
    auto x = at::empty({n, d}, at::kDouble), values = at::empty({n}, at::kDouble);
    auto gradients = at::empty({n, d}, at::kDouble);
    for (int64_t i = 0; i < n; ++i)
      std::ranges::copy(problems[open[i]].trial(), x.data_ptr<double>() + i * d);
    objective({open, x, values, gradients});
    ++out.rounds;
    const double* value = values.const_data_ptr<double>();
    const double* gradient = gradients.const_data_ptr<double>();
    at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) problems[open[i]].tell(value[i], gradient + i * d);
    });
  }
  out.x = at::empty({start.size(0), d}, at::kDouble);
  out.values = at::empty({start.size(0)}, at::kDouble);
  for (size_t p = 0; p < problems.size(); ++p) {
    const auto& problem = problems[p];
    std::ranges::copy(problem.x(), out.x.data_ptr<double>() + static_cast<int64_t>(p) * d);
    out.values.data_ptr<double>()[p] = problem.value();
    out.iterations.push_back(problem.iterations());
    out.evaluations.push_back(problem.evaluations());
    out.stops.push_back(problem.stop());
    out.active_bounds.push_back(problem.active_bounds());
  }
  return out;
}

}  // namespace preimage::optim
