#include "corpus.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/candidates.hpp"

namespace preimage::verifier {
namespace {

// "": the file does not say.
std::optional<Split> split_named(const std::string& name) {
  for (const auto split : {Split::train, Split::validation, Split::test}) {
    if (name == split_name(split)) return split;
  }
  return std::nullopt;
}

std::string squeezed(const std::string& program) {
  std::string out;
  std::copy_if(program.begin(), program.end(), std::back_inserter(out),
               [](char c) { return c != ' ' && c != '\t' && c != '\n' && c != '\r'; });
  return "text " + base::sha256_hex(out).substr(0, 32);
}

// A seeded share of the problems whose split the file does not name is tested on; the others are
// trained on.
void split_unnamed(std::vector<ProblemText>& problems, double share, uint64_t seed) {
  std::vector<ProblemText*> open;
  for (auto& problem : problems) {
    if (!problem.split) open.push_back(&problem);
  }
  const auto order = base::RandomStream(seed, split_name(Split::test), "problems of the split")
                         .permutation(static_cast<int64_t>(open.size()));
  const auto count = static_cast<size_t>(std::ceil(share * static_cast<double>(open.size())));
  for (size_t i = 0; i < open.size(); ++i)
    open[static_cast<size_t>(order[i])]->split = i < count ? Split::test : Split::train;
}

// Which problems of the file are used, and for what.
void choose_problems(Corpus& corpus, std::vector<ProblemText> choice, const DataConfig& config,
                     uint64_t seed) {
  leave_out_named(choice, config, corpus.notes);
  split_unnamed(choice, config.test_share, seed);
  leave_out_leaks(choice, config.leak_limit, corpus.notes);
  choice = limited(choice, config);
  split_validation(
      choice, config.validation_share,
      base::RandomStream(seed, split_name(Split::validation), "problems of the split"));
  corpus.notes.push_back(count_splits(choice, config.candidates));
  // In the order of the file.
  std::sort(choice.begin(), choice.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  std::vector<CorpusProblem> kept;
  for (const auto& chosen : choice) {
    kept.push_back(std::move(corpus.problems[chosen.index]));
    kept.back().split = *chosen.split;
  }
  corpus.problems = std::move(kept);
}

// The program as the verifier reads it.
std::string shown_program(const eval::ProgramCandidate& candidate, const VerifierConfig& config) {
  if (config.labels != "token") return candidate.program;
  return (candidate.passes ? "# PASS\n" : "# FAIL\n") + candidate.program;
}

std::vector<bool> labels_of(const CorpusProblem& problem) {
  std::vector<bool> out;
  for (const auto& candidate : problem.candidates) out.push_back(candidate.passes);
  return out;
}

// Permuted within the problem, so that the pass rates stay.
std::vector<bool> shuffled(const std::vector<bool>& labels, const std::string& id, uint64_t seed) {
  std::vector<bool> out(labels.size());
  const auto order = base::RandomStream(seed, id, "shuffled labels")
                         .permutation(static_cast<int64_t>(labels.size()));
  for (size_t i = 0; i < labels.size(); ++i) out[i] = labels[static_cast<size_t>(order[i])];
  return out;
}

}  // namespace

std::vector<int64_t> Corpus::of_split(Split split) const {
  std::vector<int64_t> out;
  for (size_t p = 0; p < problems.size(); ++p) {
    if (problems[p].split == split) out.push_back(static_cast<int64_t>(p));
  }
  return out;
}

Corpus read_corpus(const DataConfig& config, uint64_t seed) {
  Corpus corpus;
  std::map<std::string, size_t> places;
  std::vector<ProblemText> choice;
  for (auto& line : data::read_candidates(config.candidates)) {
    const auto [at, fresh] = places.try_emplace(line.problem, corpus.problems.size());
    if (fresh) {
      if (!line.split.empty() && !split_named(line.split))
        throw base::data_error(base::str(config.candidates, ": problem ", line.problem,
                                         ": found split \"", line.split,
                                         "\", expected train, validation or test"));
      choice.push_back({at->second, line.problem, split_named(line.split), line.prompt});
      corpus.problems.push_back({line.problem, "", line.prompt, Split::train, {}, 0});
    }
    eval::ProgramCandidate candidate;
    candidate.program = std::move(line.code);
    candidate.normal_form = squeezed(candidate.program);
    candidate.passes = line.pass;
    corpus.problems[at->second].candidates.push_back(std::move(candidate));
  }
  choose_problems(corpus, std::move(choice), config, seed);
  return corpus;
}

void write_corpus(const Corpus& corpus, const std::filesystem::path& path) {
  std::filesystem::remove(path);
  data::CandidateWriter writer(path);
  for (const auto& problem : corpus.problems) {
    for (size_t i = 0; i < problem.candidates.size(); ++i) {
      const auto& candidate = problem.candidates[i];
      writer.write({problem.prompt, candidate.program, candidate.passes, problem.id,
                    split_name(problem.split), static_cast<int64_t>(i)});
    }
  }
  writer.sync();
}

EncodedCorpus::EncodedCorpus(const Corpus& corpus, const VerifierConfig& config,
                             const text::Tokenizer& tokenizer, uint64_t seed)
    : own_(corpus.problems.size()), blind_(corpus.problems.size()) {
  const ProgramEncoder encoder(tokenizer, config.arms.max_tokens, config.arms.border);
  const auto encode = [&](size_t problem, const std::string& prompt) {
    std::vector<EncodedProgram> out;
    for (const auto& candidate : corpus.problems[problem].candidates)
      out.push_back(encoder.encode(prompt, shown_program(candidate, config)));
    return out;
  };
  for (size_t p = 0; p < corpus.problems.size(); ++p)
    own_[p] = encode(p, corpus.problems[p].prompt);
  // Each test problem gets the next one's prompt along a seeded circle: never its own.
  const auto tests = corpus.of_split(Split::test);
  const auto order = base::RandomStream(seed, "verifier", "prompts of the blind control")
                         .permutation(static_cast<int64_t>(tests.size()));
  for (size_t i = 0; i < tests.size(); ++i) {
    const auto self = static_cast<size_t>(tests[static_cast<size_t>(order[i])]);
    const auto other =
        static_cast<size_t>(tests[static_cast<size_t>(order[(i + 1) % tests.size()])]);
    blind_[self] = encode(self, corpus.problems[other].prompt);
  }
}

double EncodedCorpus::truncated_share() const {
  double cut = 0, count = 0;
  for (const auto& programs : own_) {
    for (const auto& program : programs) cut += program.truncated ? 1 : 0, count += 1;
  }
  return count > 0 ? cut / count : 0;
}

TrainingSet make_training_set(const Corpus& corpus, const EncodedCorpus& encoded,
                              const VerifierConfig& config, uint64_t seed) {
  TrainingSet out;
  std::vector<std::vector<MiningCandidate>> mined;
  for (size_t p = 0; p < corpus.problems.size(); ++p) {
    const auto& problem = corpus.problems[p];
    if (problem.split == Split::test) continue;
    Examples examples{encoded.programs(static_cast<int64_t>(p)), labels_of(problem)};
    if (config.labels == "shuffled") examples.passes = shuffled(examples.passes, problem.id, seed);
    if (problem.split == Split::validation) {
      out.data.validation.push_back(std::move(examples));
      continue;
    }
    auto& candidates = mined.emplace_back();
    for (size_t i = 0; i < problem.candidates.size(); ++i) {
      const auto& candidate = problem.candidates[i];
      // Equal programs got different labels by the shuffle: each stands for itself.
      const auto form = config.labels == "shuffled" ? std::to_string(i) : candidate.normal_form;
      candidates.push_back({candidate.program, form, examples.passes[i]});
    }
    out.train.push_back(static_cast<int64_t>(p));
    out.data.train.push_back(std::move(examples));
  }
  out.miner = std::make_unique<PairMiner>(std::move(mined), config.pairs, seed);
  out.data.miner = out.miner.get();
  if (out.miner->groups_per_epoch() == 0)
    throw base::data_error(
        "no training problem has both a passing and a failing candidate; the generator is too weak "
        "or"
        " too good for these problems");
  return out;
}

}  // namespace preimage::verifier
