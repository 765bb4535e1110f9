#include "sweep/graded_source.hpp"

#include <algorithm>
#include <utility>

namespace preimage::grpo {

GradedSource::GradedSource(sandbox::Judge& judge, const GraderOptions& options,
                           std::vector<Problem> train, std::vector<Problem> test,
                           const Encode& encode)
    : grader_(judge, options) {
  sets_[0].problems = std::move(train), sets_[1].problems = std::move(test);
  for (auto& set : sets_) {
    for (const auto& problem : set.problems) {
      set.prompts[0].push_back(encode(problem.prompt));
      set.prompts[1].push_back(encode(problem.hint_prompt));
    }
  }
}

int64_t GradedSource::longest_prompt() const {
  int64_t longest = 0;
  for (const auto& set : sets_) {
    for (const auto& prompts : set.prompts) {
      for (const auto& ids : prompts) longest = std::max<int64_t>(longest, std::ssize(ids));
    }
  }
  return longest;
}

void GradedSource::submit(int64_t ticket, bool test, int64_t problem, const std::string& response) {
  const auto& source = sets_[test].problems[static_cast<size_t>(problem)].source;
  tickets_[grader_.submit(source, response)] = ticket;
}

std::optional<std::pair<int64_t, Grade>> GradedSource::next(double timeout_s) {
  auto graded = grader_.next(timeout_s);
  if (!graded) return std::nullopt;
  const auto found = tickets_.find(graded->first);
  std::pair<int64_t, Grade> out = {found->second, std::move(graded->second)};
  tickets_.erase(found);
  return out;
}

}  // namespace preimage::grpo
