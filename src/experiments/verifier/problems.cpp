#include "problems.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"

namespace preimage::verifier {
namespace {

using base::str;

// What a published split is used for; few-shot examples are not used.
std::optional<Split> split_of(const data::ProgramProblem& problem) {
  if (problem.split == "train") return Split::train;
  if (problem.split == "validation") return Split::validation;
  if (problem.split == "test") return Split::test;
  return std::nullopt;
}

std::vector<data::ProgramProblem> read_sets(const DataConfig& config) {
  auto problems = data::read_programs({config.problems.kind, config.problems.path});
  if (config.test.kind.empty()) return problems;
  std::erase_if(problems, [](const auto& problem) { return problem.split == "test"; });
  for (auto& problem : data::read_programs({config.test.kind, config.test.path})) {
    if (problem.split == "test") problems.push_back(std::move(problem));
  }
  return problems;
}

void leave_out_named(std::vector<data::ProgramProblem>& problems, const DataConfig& config,
                     std::vector<std::string>& notes) {
  for (const auto& id : config.exclude) {
    const auto removed = std::erase_if(problems, [&](const auto& p) { return p.id == id; });
    if (removed == 0) throw base::data_error(str("\"data.exclude\": no problem has the id ", id));
  }
  if (!config.exclude.empty())
    notes.push_back(str(config.exclude.size(), " problems left out by data.exclude"));
}

// A leak costs the problem that is not tested on.
void leave_out_leaks(std::vector<data::ProgramProblem>& problems, double limit,
                     std::vector<std::string>& notes) {
  std::set<size_t> out;
  for (const auto& leak : data::find_leaks(problems, limit)) {
    const auto used = [&](size_t i) { return split_of(problems[i]).has_value(); };
    if (!used(leak.first) || !used(leak.second)) continue;
    const size_t removed = problems[leak.first].split == "test" ? leak.second : leak.first;
    if (out.insert(removed).second)
      notes.push_back(str("left out ", problems[removed].id, ": its text is nearly that of ",
                          problems[removed == leak.first ? leak.second : leak.first].id,
                          " of another split"));
  }
  std::vector<data::ProgramProblem> kept;
  for (size_t i = 0; i < problems.size(); ++i) {
    if (!out.count(i)) kept.push_back(std::move(problems[i]));
  }
  problems = std::move(kept);
}

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

void split_validation(std::vector<Problem>& problems, double share, uint64_t seed) {
  std::vector<size_t> train;
  for (size_t i = 0; i < problems.size(); ++i) {
    if (problems[i].split == Split::validation) return;
    if (problems[i].split == Split::train) train.push_back(i);
  }
  const auto order = base::RandomStream(seed, "verifier", "validation problems")
                         .permutation(static_cast<int64_t>(train.size()));
  const auto count = static_cast<size_t>(std::ceil(share * static_cast<double>(train.size())));
  for (size_t i = 0; i < count && i < train.size(); ++i)
    problems[train[static_cast<size_t>(order[i])]].split = Split::validation;
}

Problems load_problems(const VerifierConfig& config, uint64_t seed) {
  Problems out;
  auto read = read_sets(config.data);
  leave_out_named(read, config.data, out.notes);
  leave_out_leaks(read, config.data.leak_limit, out.notes);
  std::map<Split, int64_t> counts;
  for (const auto wanted : {Split::train, Split::validation, Split::test}) {
    const int64_t limit = problem_limit(config.data, wanted);
    for (auto& problem : read) {
      if (split_of(problem) != wanted || (limit > 0 && counts[wanted] >= limit)) continue;
      ++counts[wanted];
      auto prompt = data::fill_prompt(config.arms.prompt, problem, config.arms.shown_tests);
      out.list.push_back({problem.id, wanted, std::move(prompt), std::move(problem)});
    }
  }
  split_validation(out.list, config.data.validation_share, seed);
  counts.clear();
  for (const auto& problem : out.list) ++counts[problem.split];
  for (const auto split : {Split::train, Split::validation, Split::test}) {
    if (counts[split] == 0)
      throw base::data_error(
          str(config.data.problems.path, ": no problem for the split ", split_name(split)));
  }
  out.notes.push_back(str(counts[Split::train], " problems to train on, ",
                          counts[Split::validation], " for validation, ", counts[Split::test],
                          " to test on"));
  return out;
}

}  // namespace preimage::verifier
