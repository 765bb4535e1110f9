// Rewards without a sandbox: a completion is paid for how many of its characters are vowels, and
// "hacks" when it holds an 'e'.
#pragma once

#include <deque>

#include "sweep/reward_source.hpp"

namespace preimage::grpo {

class ToySource : public RewardSource {
 public:
  int64_t problems(bool test) const override { return test ? 2 : 5; }
  std::vector<int64_t> prompt(bool test, int64_t problem, bool hint) const override {
    return {5 + problem, hint ? 20 : 30, test ? 7 : 9, 12};
  }
  void submit(int64_t ticket, bool, int64_t, const std::string& response) override {
    Grade grade;
    double vowels = 0;
    for (const char c : response) vowels += std::string("aeiou").find(c) != std::string::npos;
    grade.reward = response.empty() ? 0 : 3.5 * vowels / static_cast<double>(response.size());
    grade.labels.defines_tests = grade.labels.own_pass = response.find('e') != response.npos;
    grade.labels.gt_pass = grade.reward > 1.5;
    done_.emplace_back(ticket, grade);
  }
  std::optional<std::pair<int64_t, Grade>> next(double) override {
    if (done_.empty()) return std::nullopt;
    const auto out = done_.back();  // not in the order of submission
    done_.pop_back();
    return out;
  }

 private:
  std::deque<std::pair<int64_t, Grade>> done_;
};

}  // namespace preimage::grpo
