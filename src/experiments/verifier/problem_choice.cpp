#include "problem_choice.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/programs.hpp"

namespace preimage::verifier {
namespace {

using base::str;

int64_t problem_limit(const DataConfig& config, Split split) {
  if (split == Split::test) return config.test_limit;
  const bool own = split == Split::validation && config.validation_limit > 0;
  return own ? config.validation_limit : config.train_limit;
}

}  // namespace

const char* split_name(Split split) {
  switch (split) {
    case Split::train:
      return "train";
    case Split::validation:
      return "validation";
    case Split::test:
      return "test";
  }
  return "";
}

void leave_out_named(std::vector<ProblemText>& problems, const DataConfig& config,
                     std::vector<std::string>& notes) {
  for (const auto& id : config.exclude) {
    const auto removed = std::erase_if(problems, [&](const auto& p) { return p.id == id; });
    if (removed == 0) throw base::data_error(str("\"data.exclude\": no problem has the id ", id));
  }
  if (!config.exclude.empty())
    notes.push_back(str(config.exclude.size(), " problems left out by data.exclude"));
}

void leave_out_leaks(std::vector<ProblemText>& problems, double limit,
                     std::vector<std::string>& notes) {
  std::vector<data::ProgramProblem> texts;
  for (const auto& problem : problems) {
    data::ProgramProblem one;
    one.id = problem.id, one.text = problem.text;
    one.split = problem.split ? split_name(*problem.split) : "";
    texts.push_back(std::move(one));
  }
  std::set<size_t> out;
  for (const auto& leak : data::find_leaks(texts, limit)) {
    if (!problems[leak.first].split || !problems[leak.second].split) continue;
    const size_t removed = problems[leak.first].split == Split::test ? leak.second : leak.first;
    if (out.insert(removed).second)
      notes.push_back(str("left out ", problems[removed].id, ": its text is nearly that of ",
                          problems[removed == leak.first ? leak.second : leak.first].id,
                          " of another split"));
  }
  std::vector<ProblemText> kept;
  for (size_t i = 0; i < problems.size(); ++i) {
    if (!out.count(i)) kept.push_back(std::move(problems[i]));
  }
  problems = std::move(kept);
}

std::vector<ProblemText> limited(const std::vector<ProblemText>& problems,
                                 const DataConfig& config) {
  std::vector<ProblemText> out;
  for (const auto wanted : {Split::train, Split::validation, Split::test}) {
    const int64_t limit = problem_limit(config, wanted);
    int64_t count = 0;
    for (const auto& problem : problems) {
      if (problem.split != wanted || (limit > 0 && count >= limit)) continue;
      ++count;
      out.push_back(problem);
    }
  }
  return out;
}

void split_validation(std::vector<ProblemText>& problems, double share,
                      const base::RandomStream& random) {
  std::vector<size_t> train;
  for (size_t i = 0; i < problems.size(); ++i) {
    if (problems[i].split == Split::validation) return;
    if (problems[i].split == Split::train) train.push_back(i);
  }
  const auto order = random.permutation(static_cast<int64_t>(train.size()));
  const auto count = static_cast<size_t>(std::ceil(share * static_cast<double>(train.size())));
  for (size_t i = 0; i < count && i < train.size(); ++i)
    problems[train[static_cast<size_t>(order[i])]].split = Split::validation;
}

std::string count_splits(const std::vector<ProblemText>& problems, const std::string& place) {
  std::map<Split, int64_t> counts;
  for (const auto& problem : problems) {
    if (problem.split) ++counts[*problem.split];
  }
  for (const auto split : {Split::train, Split::validation, Split::test}) {
    if (counts[split] == 0)
      throw base::data_error(str(place, ": no problem for the split ", split_name(split)));
  }
  return str(counts[Split::train], " problems to train on, ", counts[Split::validation],
             " for validation, ", counts[Split::test], " to test on");
}

}  // namespace preimage::verifier
