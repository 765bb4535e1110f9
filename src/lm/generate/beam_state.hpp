// The beams of one request: which candidates go on, which are finished, and when it is over.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "generate/stop_watcher.hpp"
#include "preimage/lm/generate/beam_search.hpp"

namespace preimage::lm {

// A continuation of a running beam.
struct BeamCandidate {
  int64_t beam = 0, id = 0;
  float score = 0;    // log-probability after penalties, then the sum with that of the beam
  float logprob = 0;  // under the raw model
};

class BeamState : public RowSearch {
 public:
  BeamState(const BeamRequest& request, std::vector<int64_t> said);
  const SearchPrompt& prompt() const override { return request_.prompt; }
  int64_t most_rows() const override { return request_.beams; }
  const std::vector<Step>& next() const override { return next_; }

  int64_t rows() const { return static_cast<int64_t>(running_.size()); }
  const BeamRequest& request() const { return request_; }
  // Candidates that a step considers: enough for all beams to go on though others end.
  int64_t candidates() const { return candidates_; }
  // What the penalties see of a running beam: the prompt where they count it, and its own tokens.
  std::vector<int64_t> history(int64_t row) const;

  // Candidates of all rows, `score` still without the beam's own.
  void take(std::vector<BeamCandidate> candidates);
  std::vector<Hypothesis> best() const;

 private:
  struct Beam {
    std::vector<int64_t> ids;
    std::vector<float> logprobs;
    float score = 0;
    std::string finish_reason, text;             // as those of Hypothesis; empty: it may go on
    std::shared_ptr<const StopWatcher> watcher;  // of its text, where there are stop strings
  };
  Beam extended(const BeamCandidate& candidate) const;
  bool full() const { return static_cast<int64_t>(finished_.size()) == request_.beams; }
  void finish(const std::vector<Beam>& extended, bool last_step);
  void go_on(const std::vector<BeamCandidate>& candidates, std::vector<Beam> extended,
             bool last_step);
  bool may_improve() const;

  const BeamRequest& request_;
  std::vector<int64_t> said_;
  int64_t candidates_ = 0;
  int64_t generated_ = 0;
  bool improvable_ = true;
  std::vector<Beam> running_;   // best first
  std::vector<Beam> finished_;  // best first, by their final score
  std::vector<Step> next_;
};

}  // namespace preimage::lm
