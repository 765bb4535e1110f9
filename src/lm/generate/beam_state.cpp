#include "generate/beam_state.hpp"

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
  if (!request.stop.empty())
    running_[0].watcher = std::make_shared<const StopWatcher>(*request.tokenizer, request.stop);
}

std::vector<int64_t> BeamState::history(int64_t row) const {
  auto all = said_;
  const auto& ids = running_[static_cast<size_t>(row)].ids;
  all.insert(all.end(), ids.begin(), ids.end());
  return all;
}

BeamState::Beam BeamState::extended(const BeamCandidate& candidate) const {
  const auto& stops = request_.stop_ids;
  Beam beam = running_[static_cast<size_t>(candidate.beam)];
  beam.score = candidate.score;
  if (std::find(stops.begin(), stops.end(), candidate.id) != stops.end()) {
    beam.finish_reason = "eos";
    return beam;
  }
  beam.ids.push_back(candidate.id);
  beam.logprobs.push_back(candidate.logprob);
  if (!beam.watcher) return beam;
  const auto watcher = std::make_shared<StopWatcher>(*beam.watcher);
  if (watcher->push(candidate.id)) beam.finish_reason = "stop", beam.text = watcher->text();
  beam.watcher = watcher;
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
  std::vector<Beam> beams;
  for (const auto& candidate : candidates) beams.push_back(extended(candidate));
  finish(beams, last_step);
  go_on(candidates, std::move(beams), last_step);
  improvable_ = improvable_ && may_improve();
  if (!improvable_ || (request_.early_stopping == EarlyStopping::yes && full())) next_.clear();
}

// Only the best `beams` candidates may end a hypothesis: the others are there so that enough go on.
void BeamState::finish(const std::vector<Beam>& extended, bool last_step) {
  if (!improvable_ || (request_.early_stopping == EarlyStopping::yes && full())) return;
  const size_t heads = std::min(extended.size(), static_cast<size_t>(request_.beams));
  for (size_t i = 0; i < heads; ++i) {
    if (!last_step && extended[i].finish_reason.empty()) continue;
    Beam beam = extended[i];
    if (beam.finish_reason.empty()) beam.finish_reason = "length";
    beam.score = normalised(beam.score, generated_, request_.length_penalty);
    finished_.push_back(std::move(beam));
  }
  std::stable_sort(finished_.begin(), finished_.end(),
                   [](const Beam& a, const Beam& b) { return a.score > b.score; });
  if (static_cast<int64_t>(finished_.size()) > request_.beams)
    finished_.resize(static_cast<size_t>(request_.beams));
}

void BeamState::go_on(const std::vector<BeamCandidate>& candidates, std::vector<Beam> extended,
                      bool last_step) {
  std::vector<Beam> running;
  next_.clear();
  for (size_t i = 0; i < extended.size(); ++i) {
    if (static_cast<int64_t>(running.size()) == request_.beams) break;
    // An impossible candidate (all of its beam's tokens are forbidden) leads nowhere.
    if (!extended[i].finish_reason.empty() || !std::isfinite(extended[i].score)) continue;
    running.push_back(std::move(extended[i]));
    next_.push_back({candidates[i].beam, candidates[i].id});
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
    out.push_back({beam.ids, beam.logprobs, beam.score, beam.finish_reason, beam.text});
  }
  return out;
}

}  // namespace preimage::lm
