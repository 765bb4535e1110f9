// The sandbox as the sweep's source of rewards.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "pools/grader.hpp"
#include "pools/problems.hpp"
#include "sweep/reward_source.hpp"

namespace preimage::grpo {

class GradedSource : public RewardSource {
 public:
  // Prompts in words become ids once, here.
  using Encode = std::function<std::vector<int64_t>(const std::string& prompt)>;
  // `judge` must outlive it and may serve nobody else meanwhile.
  GradedSource(sandbox::Judge& judge, const GraderOptions& options, std::vector<Problem> train,
               std::vector<Problem> test, const Encode& encode);

  int64_t problems(bool test) const override { return std::ssize(sets_[test].problems); }
  std::vector<int64_t> prompt(bool test, int64_t problem, bool hint) const override {
    return sets_[test].prompts[hint].at(static_cast<size_t>(problem));
  }
  int64_t longest_prompt() const;
  void submit(int64_t ticket, bool test, int64_t problem, const std::string& response) override;
  std::optional<std::pair<int64_t, Grade>> next(double timeout_s) override;

 private:
  struct Set {
    std::vector<Problem> problems;
    std::vector<std::vector<int64_t>> prompts[2];  // without and with hint
  };
  Set sets_[2];  // train, test
  Grader grader_;
  std::map<int64_t, int64_t> tickets_;  // by the grader's
};

}  // namespace preimage::grpo
