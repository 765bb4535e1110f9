#include "arms/selection.hpp"

#include <algorithm>
#include <map>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"

namespace preimage::verifier {
namespace {

std::vector<double> majority_costs(const std::vector<Choice>& choices) {
  std::map<std::string, double> votes;
  for (const auto& choice : choices) {
    if (!choice.outputs.empty()) votes[choice.outputs] += 1;
  }
  std::vector<double> costs;
  for (const auto& choice : choices)
    costs.push_back(choice.outputs.empty() ? 0 : -votes[choice.outputs]);
  return costs;
}

double control_cost(const std::string& name, const Choice& choice) {
  const auto length = static_cast<double>(choice.program.size());
  if (name == "shortest") return length;
  if (name == "longest") return -length;
  if (name == "shown_tests") return choice.passes_shown.value_or(false) ? 0 : 1;
  if (name == "logprob_sum") return -choice.logprob_sum;
  base::check(name == "logprob_mean", "a control is one of control_names()");
  return -choice.logprob_sum / static_cast<double>(std::max<int64_t>(1, choice.tokens));
}

}  // namespace

int64_t select_lowest(const std::vector<double>& costs, const std::vector<Choice>& choices,
                      uint64_t seed) {
  base::check(!costs.empty() && costs.size() == choices.size(), "one cost for each candidate");
  const auto hash = [&](size_t i) {
    return base::RandomStream(seed, choices[i].program, "tie between candidates").bits(0);
  };
  size_t best = 0;
  for (size_t i = 1; i < costs.size(); ++i) {
    if (costs[i] > costs[best]) continue;
    if (costs[i] < costs[best] || hash(i) < hash(best)) best = i;
  }
  return static_cast<int64_t>(best);
}

std::vector<std::string> control_names() {
  return {"shown_tests", "shortest", "longest", "logprob_mean", "logprob_sum", "majority"};
}

std::vector<double> control_costs(const std::string& name, const std::vector<Choice>& choices) {
  if (name == "majority") return majority_costs(choices);
  std::vector<double> costs;
  for (const auto& choice : choices) costs.push_back(control_cost(name, choice));
  return costs;
}

std::vector<double> behind_shown_tests(const std::vector<double>& costs,
                                       const std::vector<Choice>& choices) {
  if (costs.empty()) return {};
  const auto [low, high] = std::minmax_element(costs.begin(), costs.end());
  const double span = *high - *low + 1;
  std::vector<double> out;
  for (size_t i = 0; i < costs.size(); ++i)
    out.push_back(costs[i] - *low + (choices[i].passes_shown.value_or(false) ? 0 : span));
  return out;
}

}  // namespace preimage::verifier
