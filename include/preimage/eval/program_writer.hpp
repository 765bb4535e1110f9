// Programs written and judged: while the model writes the next ones, the sandbox runs the last.
//
//   ProgramWriter writer(model, judge, options);
//   writer.submit({&problem, prompt, /*n=*/16, seed});   // at any time
//   while (auto block = writer.next()) ...               // each when all of its programs are
//   judged
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "preimage/data/programs.hpp"
#include "preimage/eval/program_candidate.hpp"
#include "preimage/eval/program_prompt.hpp"
#include "preimage/eval/text_model.hpp"
#include "preimage/lm/generate/generator.hpp"
#include "preimage/sandbox/judge.hpp"

namespace preimage::eval {

struct ProgramWriterOptions {
  ProgramPrompt prompt;          // how a program is taken from an answer
  lm::SamplingOptions sampling;  // its seed is each request's own
  int64_t max_new_tokens = 512;
  std::vector<std::string> stop;  // texts that end an answer
  int64_t batch = 64;             // sequences in flight
  int64_t longest = 0;            // tokens of prompt and answer, of any request to come
};

// n programs for one problem.
struct ProgramRequest {
  const data::ProgramProblem* problem = nullptr;  // must outlive the block
  std::vector<int64_t> prompt;                    // ids
  int64_t n = 1;
  uint64_t seed = 0;     // candidate i of equal seeds and prompts is the same program
  bool outputs = false;  // also what each gives on the problem's shown example calls
  int64_t shown = 0;     // also whether it passes so many of the shown assertions; -1: all of them
};

struct ProgramBlock {
  int64_t ticket = 0;
  std::vector<ProgramCandidate> candidates;  // n
};

// Of one thread.
class ProgramWriter {
 public:
  // All must outlive it. `judge` may serve nobody else meanwhile.
  ProgramWriter(const TextModel& model, sandbox::Judge& judge, const ProgramWriterOptions& options);

  // Returns at once; tickets count from 1.
  int64_t submit(const ProgramRequest& request);
  // The next block whose programs all have their verdicts, in no order that is promised. Waits up
  // to `timeout_s` (0: one pass of the model; < 0: as long as it takes). Nothing when the time is
  // over or nothing is pending.
  std::optional<ProgramBlock> next(double timeout_s = -1);

  int64_t pending() const { return static_cast<int64_t>(blocks_.size()); }  // blocks
  // Programs that are still to be written: below the batch there is room for more.
  int64_t unwritten() const { return generator_.pending(); }
  // Programs that the sandbox has still to answer for.
  int64_t unjudged() const { return static_cast<int64_t>(awaited_.size()); }

 private:
  // A block whose programs are being written or judged.
  struct Block {
    ProgramRequest request;
    ProgramBlock result;
    int64_t unwritten = 0;
    int64_t waiting = 0;  // records that have not come
  };
  struct Awaited {
    std::list<Block>::iterator block;
    enum class Kind { verdict, shown, outputs, forms } kind;
    size_t candidate;
  };

  void take(const lm::Completion& completion);
  void ask(std::list<Block>::iterator block, Awaited::Kind kind, size_t candidate,
           sandbox::Request request);
  void receive(double timeout_s);
  std::optional<ProgramBlock> finished();

  const TextModel& model_;
  sandbox::Judge& judge_;
  ProgramWriterOptions options_;
  std::vector<int64_t> stop_ids_;
  lm::Generator generator_;
  std::list<Block> blocks_;
  std::map<int64_t, std::list<Block>::iterator> by_ticket_;  // of the generator
  std::map<uint64_t, Awaited> awaited_;                      // by the judge's ticket
};

}  // namespace preimage::eval
