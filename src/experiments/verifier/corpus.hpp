// Everything that is trained and tested on: problems with their labelled candidates, as the
// verifier reads them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "arms/encoding.hpp"
#include "arms/selection.hpp"
#include "arms/training.hpp"
#include "config.hpp"
#include "pairs.hpp"
#include "preimage/eval/program_candidate.hpp"
#include "problems.hpp"

namespace preimage::verifier {

struct CorpusProblem {
  std::string id, group, prompt;  // the verifier's prompt
  Split split = Split::train;
  std::vector<eval::ProgramCandidate> candidates;
  int64_t infra = 0;  // candidates that the sandbox could not judge: left out
};

struct Corpus {
  std::vector<CorpusProblem> problems;
  std::vector<std::string> notes;                    // counts and what was left out, for the log
  std::vector<int64_t> of_split(Split split) const;  // indices
};

// Labelled programs of a JSON Lines file. Problems keep the order of the file; those without a
// split are divided by a seeded permutation; exclude, limits and leaks count as in published sets.
Corpus read_corpus(const DataConfig& config, uint64_t seed);
// Writes every candidate as such a file, replacing it.
void write_corpus(const Corpus& corpus, const std::filesystem::path& path);

// Candidates as tokens. `blind` gives each test problem the prompt of another one, for the control
// that must not see its own.
class EncodedCorpus {
 public:
  EncodedCorpus(const Corpus& corpus, const VerifierConfig& config,
                const text::Tokenizer& tokenizer, uint64_t seed);
  const std::vector<EncodedProgram>& programs(int64_t problem) const {
    return own_[static_cast<size_t>(problem)];
  }
  // Empty for problems that are not tested on.
  const std::vector<EncodedProgram>& blind(int64_t problem) const {
    return blind_[static_cast<size_t>(problem)];
  }
  double truncated_share() const;

 private:
  std::vector<std::vector<EncodedProgram>> own_, blind_;
};

// What training sees, with the labels that `config.labels` asks for.
struct TrainingSet {
  TrainingData data;
  std::unique_ptr<PairMiner> miner;  // data.miner points to it
  std::vector<int64_t> train;        // problem of each data.train
};
TrainingSet make_training_set(const Corpus& corpus, const EncodedCorpus& encoded,
                              const VerifierConfig& config, uint64_t seed);

}  // namespace preimage::verifier
