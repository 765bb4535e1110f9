// Generating candidates and having them judged: the first stage of a run. While the model writes
// the next programs, the sandbox runs the last ones.
#pragma once

#include <list>
#include <map>
#include <memory>

#include "candidate.hpp"
#include "config.hpp"
#include "preimage/lm/generate/generate.hpp"
#include "preimage/run/search.hpp"
#include "preimage/sandbox/judge.hpp"
#include "preimage/text/chat_template.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "problems.hpp"

namespace preimage::verifier {

// The generator with its texts.
struct Generator {
  std::shared_ptr<const lm::Model> model;
  text::Tokenizer tokenizer;
  std::unique_ptr<const text::ChatTemplate> chat;  // null: prompts are written out as text
};
Generator load_generator(const GenerationConfig& config, at::Device device);

// The token ids that the generator reads for a problem.
std::vector<int64_t> prompt_ids(const Generator& generator, const GenerationConfig& config,
                                const Problem& problem);
// The program in a completion: its first fenced block, or all of it; behind the starter code where
// the completion continues it. HumanEval: behind the starter's imports and helpers where it writes
// the whole function again.
std::string program_of(const GenerationConfig& config, const Problem& problem,
                       const std::string& completion);

// The units of the stage: (problem, block of candidates).
std::vector<run::Unit> candidate_units(const GenerationConfig& config, const Problems& problems);

class CandidateStage {
 public:
  // All must outlive the stage. `seed` is the run's.
  CandidateStage(const VerifierConfig& config, const Problems& problems, const Generator& generator,
                 sandbox::Judge& judge, uint64_t seed);
  // Takes units until there are none; several at once, so that the generator's batch is full.
  void run(run::Work& work);

 private:
  // A unit whose programs are being generated or judged.
  struct InFlight {
    run::Unit unit;
    const Problem* problem = nullptr;
    std::vector<Candidate> candidates;
    int64_t waiting = 0;  // records that have not come
  };
  struct Awaited {
    InFlight* unit;
    enum class Kind { verdict, outputs, forms } kind;
    size_t candidate;
  };

  lm::GenerateRequest request_of(const InFlight& unit) const;
  void generate(const std::vector<InFlight*>& units, const run::Work& work);
  void take_completion(InFlight& unit, const lm::Completion& completion);
  void submit(InFlight& unit, Awaited::Kind kind, size_t candidate, sandbox::Request request);
  void receive(double timeout_s);
  void commit_done(run::Work& work);

  const VerifierConfig& config_;
  const Problems& problems_;
  const Generator& generator_;
  sandbox::Judge& judge_;
  uint64_t seed_;
  std::map<std::string, const Problem*> by_id_;
  std::list<InFlight> units_;
  std::map<uint64_t, Awaited> awaited_;  // by ticket
};

}  // namespace preimage::verifier
