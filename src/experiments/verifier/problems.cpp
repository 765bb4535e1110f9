#include "problems.hpp"

#include "preimage/base/error.hpp"

namespace preimage::verifier {
namespace {

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

}  // namespace

Problems load_problems(const VerifierConfig& config, uint64_t seed) {
  Problems out;
  auto read = read_sets(config.data);
  std::vector<ProblemText> choice;
  for (size_t i = 0; i < read.size(); ++i)
    choice.push_back({i, read[i].id, split_of(read[i]), read[i].text});
  leave_out_named(choice, config.data, out.notes);
  leave_out_leaks(choice, config.data.leak_limit, out.notes);
  choice = limited(choice, config.data);
  split_validation(choice, config.data.validation_share,
                   base::RandomStream(seed, "verifier", "validation problems"));
  for (const auto& chosen : choice) {
    auto& problem = read[chosen.index];
    auto prompt = data::fill_prompt(config.arms.prompt, problem, config.arms.shown_tests);
    out.list.push_back({problem.id, *chosen.split, std::move(prompt), std::move(problem)});
  }
  out.notes.push_back(count_splits(choice, config.data.problems.path));
  return out;
}

}  // namespace preimage::verifier
