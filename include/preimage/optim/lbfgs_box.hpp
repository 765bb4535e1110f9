// L-BFGS-B (Byrd, Lu, Nocedal and Zhu, "A limited memory algorithm for bound constrained
// optimization", SIAM J. Sci. Comput. 16(5), 1995) over many independent problems in lock-step:
// each round asks for value and gradient of every unfinished problem at once. The path of a problem
// does not depend on its neighbours, as long as the objective's rows do not.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

namespace preimage::optim {

// The defaults are those of SciPy's L-BFGS-B.
struct LbfgsBoxOptions {
  int64_t memory = 10;
  int64_t max_iterations = 200;
  int64_t max_line_search = 20;                       // evaluations of one line search
  double relative_reduction = 2.220446049250313e-09;  // (f - f') / max(|f|, |f'|, 1)
  double projected_gradient = 1e-5;                   // largest |P(x - g) - x| of a solution
};

// lower <= x <= upper; [d] or [problems, d] double. +-infinity where a side is open.
struct Box {
  at::Tensor lower, upper;
};

// The rows to evaluate: x [n, d] double, row i of problem problems[i]. Fills values [n] and
// gradients [n, d], both double. Non-finite values make the line search step back.
struct BoxBatch {
  const std::vector<int64_t>& problems;
  const at::Tensor& x;
  at::Tensor& values;
  at::Tensor& gradients;
};
using BoxObjective = std::function<void(const BoxBatch&)>;

enum class BoxStop : uint8_t {
  projected_gradient,
  relative_reduction,
  max_iterations,
  line_search,  // no step lowers the value, even along the steepest descent
};

struct LbfgsBoxResult {
  at::Tensor x;                        // [problems, d] lowest point of each problem
  at::Tensor values;                   // [problems]
  std::vector<int64_t> iterations;     // [problems]
  std::vector<int64_t> evaluations;    // [problems]
  std::vector<BoxStop> stops;          // [problems]
  std::vector<int64_t> active_bounds;  // [problems] coordinates on a bound
  int64_t rounds = 0;                  // batched evaluations
};

// Minimises each problem from its row of start [problems, d] double, which is moved into the box.
// Throws a bug where a lower bound lies above its upper one or a start's value is not finite.
LbfgsBoxResult minimise_in_box(const BoxObjective& objective, const at::Tensor& start,
                               const Box& box, const LbfgsBoxOptions& options = {});

}  // namespace preimage::optim
