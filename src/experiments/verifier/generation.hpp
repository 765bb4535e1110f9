// Generating candidates and having them judged: the first stage of a run.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config.hpp"
#include "preimage/eval/program_writer.hpp"
#include "preimage/run/search.hpp"
#include "problems.hpp"

namespace preimage::verifier {

eval::TextModel load_generator(const GenerationConfig& config,
                               std::shared_ptr<const lm::Model> model);

// The token ids that the generator reads for a problem.
std::vector<int64_t> generator_prompt(const eval::TextModel& generator,
                                      const GenerationConfig& config, const Problem& problem);

// The units of the stage: (problem, block of candidates).
std::vector<run::Unit> candidate_units(const GenerationConfig& config, const Problems& problems);

// The programs of a unit as its segment holds them.
std::vector<eval::ProgramCandidate> candidates_of(const store::UnitOutput& output);

class CandidateStage {
 public:
  // All must outlive the stage. `seed` is the run's.
  CandidateStage(const VerifierConfig& config, const Problems& problems,
                 const eval::TextModel& generator, sandbox::Judge& judge, uint64_t seed);
  // Takes units as long as there are any and the generator has room.
  void run(run::Work& work);

 private:
  void submit(const run::Unit& unit);
  bool has_room() const;

  const VerifierConfig& config_;
  uint64_t seed_;
  std::map<std::string, const Problem*> by_id_;
  std::map<std::string, std::vector<int64_t>> prompts_;  // by problem id
  std::optional<eval::ProgramWriter> writer_;
  std::map<int64_t, run::Unit> units_;  // by the writer's ticket
};

}  // namespace preimage::verifier
