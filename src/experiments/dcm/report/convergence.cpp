#include "report/convergence.hpp"

namespace preimage::dcm {

bool baseline_meets_rule(const TargetOutcome& target, const ConvergenceOptions& options) {
  return meets_rule(target.random, target.random, target.full, options) ||
         meets_rule(target.single, target.random, target.full, options);
}

bool meets_rule(double loss, double random, double full, const ConvergenceOptions& options) {
  return loss < options.random_factor * random || loss < options.full_factor * full;
}

Convergence judge_convergence(const TargetOutcome& question, const TargetOutcome& answer,
                              const ConvergenceOptions& options) {
  Convergence out;
  out.conv_q = meets_rule(question.loss, question.random, question.full, options);
  out.conv_a = meets_rule(answer.loss, answer.random, answer.full, options);
  out.conv = out.conv_q && out.conv_a;
  out.conv_sum = meets_rule(question.loss + answer.loss, question.random + answer.random,
                            question.full + answer.full, options);
  out.tight = question.max_nll < options.tight_nll && answer.max_nll < options.tight_nll;
  out.exact = question.exact && answer.exact;
  out.conv_by_baseline =
      baseline_meets_rule(question, options) && baseline_meets_rule(answer, options);
  return out;
}

}  // namespace preimage::dcm
