#include "report/convergence.hpp"

namespace preimage::dcm {
namespace {

bool baseline_meets(const TargetOutcome& target, const ConvergenceOptions& options) {
  return meets_plan(target.random, target.random, target.full, options) ||
         meets_plan(target.single, target.random, target.full, options);
}

}  // namespace

bool meets_plan(double loss, double random, double full, const ConvergenceOptions& options) {
  return loss < options.random_factor * random || loss < options.full_factor * full;
}

Convergence judge_convergence(const TargetOutcome& question, const TargetOutcome& answer,
                              const ConvergenceOptions& options) {
  Convergence out;
  out.conv_q = meets_plan(question.loss, question.random, question.full, options);
  out.conv_a = meets_plan(answer.loss, answer.random, answer.full, options);
  out.conv = out.conv_q && out.conv_a;
  out.conv_sum = meets_plan(question.loss + answer.loss, question.random + answer.random,
                            question.full + answer.full, options);
  out.tight = question.max_nll < options.tight_nll && answer.max_nll < options.tight_nll;
  out.exact = question.exact && answer.exact;
  out.conv_by_baseline = baseline_meets(question, options) && baseline_meets(answer, options);
  return out;
}

}  // namespace preimage::dcm
