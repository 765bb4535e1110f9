#include "beam_state.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace preimage::lm {
namespace {

// In the arithmetic of the reference: a power in double, a division in float.
float normalised(float score, int64_t length, double length_penalty) {
  return score / static_cast<float>(std::pow(static_cast<double>(length), length_penalty));
}

}  // namespace

BeamState::BeamState(const BeamRequest& request, std::vector<int64_t> said)
    : request_(request), said_(std::move(said)), running_(1) {
  const std::set<int64_t> stops(request.stop_ids.begin(), request.stop_ids.end());
  candidates_ = std::max<int64_t>(2, 1 + static_cast<int64_t>(stops.size())) * request.beams;
}

std::vector<int64_t> BeamState::history(int64_t row) const {
  auto all = said_;
  const auto& ids = running_[static_cast<size_t>(row)].ids;
  all.insert(all.end(), ids.begin(), ids.end());
  return all;
}

bool BeamState::is_stop(int64_t id) const {
  return std::find(request_.stop_ids.begin(), request_.stop_ids.end(), id) !=
         request_.stop_ids.end();
}

BeamState::Beam BeamState::extended(const BeamCandidate& candidate) const {
  Beam beam = running_[static_cast<size_t>(candidate.beam)];
  beam.score = candidate.score;
  beam.stopped = is_stop(candidate.id);
  if (beam.stopped) return beam;
  beam.ids.push_back(candidate.id);
  beam.logprobs.push_back(candidate.logprob);
  return beam;
}

void BeamState::take(std::vector<BeamCandidate> candidates) {
  for (auto& candidate : candidates)
    candidate.score += running_[static_cast<size_t>(candidate.beam)].score;
  // Of equal scores the lower beam, then the lower id first.
  std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
    if (a.score != b.score) return a.score > b.score;
    return a.beam != b.beam ? a.beam < b.beam : a.id < b.id;
  });
  if (static_cast<int64_t>(candidates.size()) > candidates_)
    candidates.resize(static_cast<size_t>(candidates_));
  ++generated_;
  const bool last_step = generated_ == request_.max_new_tokens;
  finish(candidates, last_step);
  go_on(candidates, last_step);
  improvable_ = improvable_ && may_improve();
  if (!improvable_ || (request_.early_stopping == EarlyStopping::yes && full())) next_.clear();
}

// Only the best `beams` candidates may end a hypothesis: the others are there so that enough go on.
void BeamState::finish(const std::vector<BeamCandidate>& candidates, bool last_step) {
  if (!improvable_ || (request_.early_stopping == EarlyStopping::yes && full())) return;
  const size_t heads = std::min(candidates.size(), static_cast<size_t>(request_.beams));
  for (size_t i = 0; i < heads; ++i) {
    if (!last_step && !is_stop(candidates[i].id)) continue;
    Beam beam = extended(candidates[i]);
    beam.score = normalised(beam.score, generated_, request_.length_penalty);
    finished_.push_back(std::move(beam));
  }
  std::stable_sort(finished_.begin(), finished_.end(),
                   [](const Beam& a, const Beam& b) { return a.score > b.score; });
  if (static_cast<int64_t>(finished_.size()) > request_.beams)
    finished_.resize(static_cast<size_t>(request_.beams));
}

void BeamState::go_on(const std::vector<BeamCandidate>& candidates, bool last_step) {
  std::vector<Beam> running;
  next_.clear();
  for (const auto& candidate : candidates) {
    if (static_cast<int64_t>(running.size()) == request_.beams) break;
    // An impossible candidate (all of its beam's tokens are forbidden) leads nowhere.
    if (is_stop(candidate.id) || !std::isfinite(candidate.score)) continue;
    running.push_back(extended(candidate));
    next_.push_back({candidate.beam, candidate.id});
  }
  if (last_step) next_.clear();
  running_ = std::move(running);
}

// The rule of transformers' _check_early_stop_heuristic.
bool BeamState::may_improve() const {
  if (!full()) return true;
  if (running_.empty()) return false;
  const bool reach = request_.early_stopping == EarlyStopping::never && request_.length_penalty > 0;
  const int64_t length = reach ? request_.max_new_tokens : generated_;
  return normalised(running_[0].score, length, request_.length_penalty) > finished_.back().score;
}

std::vector<Hypothesis> BeamState::best() const {
  std::vector<Hypothesis> out;
  for (const auto& beam : finished_) {
    if (static_cast<int64_t>(out.size()) == request_.returned) break;
    out.push_back({beam.ids, beam.logprobs, beam.score, beam.stopped});
  }
  return out;
}

}  // namespace preimage::lm
