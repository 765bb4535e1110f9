#include "search_record.hpp"

#include "preimage/base/error.hpp"

namespace preimage::ips {

int64_t SearchRecord::price(const Ask& ask, const std::string& unit_id) const {
  return executed_.count(unit_id) ? 0 : ask.calls();
}

const Granted& SearchRecord::ask(const std::function<std::string(const Ask&)>& unit_of) {
  granted_ = {};
  const auto asks = arm_->ask();
  int64_t left = limits_.calls - counts_.executed;
  std::set<std::string> here;
  for (auto one : asks) {
    if (one.kind == Ask::Kind::loss) {  // an evaluation holds the loss
      one.kind = Ask::Kind::evaluate;
      if (!executed_.count(unit_of(one))) one.kind = Ask::Kind::loss;
    }
    auto id = unit_of(one);
    const int64_t cost = here.count(id) ? 0 : price(one, id);
    if (cost > left) break;
    left -= cost;
    here.insert(id);
    granted_.asks.push_back(std::move(one));
    granted_.unit_ids.push_back(std::move(id));
  }
  if (!granted_.asks.empty()) return granted_;
  stop_rule_ = !arm_->ended().empty() ? arm_->ended() : asks.empty() ? "nothing left" : "budget";
  return granted_;
}

void SearchRecord::charge(const Ask& ask, bool known, int64_t price) {
  counts_.requested += ask.calls();
  counts_.executed += price;
  counts_.cache_hits += ask.calls() - price;
  if (known) return;
  if (ask.has_terms()) {
    ++counts_.nll_passes;
  } else if (ask.kind == Ask::Kind::gradient) {
    ++counts_.gradients;
  } else {
    counts_.proposals += ask.count;
    counts_.gradients += ask.gradients;
  }
}

Reply SearchRecord::evaluated(size_t place, const std::shared_ptr<const Terms>& terms, bool known,
                              const std::function<Judged(const Terms&)>& judge) {
  const auto& ask = granted_.asks[place];
  Reply reply;
  reply.index = std::ssize(evaluations_);
  reply.terms = terms.get();
  if (ask.kind == Ask::Kind::loss) {
    const auto& basis = *evaluations_.at(static_cast<size_t>(ask.basis)).terms;
    reply.fitness = judge(terms->with_answer_of(basis)).fitness;
  } else {
    const auto judged = judge(*terms);
    reply.fitness = judged.fitness;
    reply.accepted = judged.accepted;
  }
  evaluations_.push_back(
      {ask, terms, granted_.unit_ids[place], generation_, known, counts_.executed});
  if (reply.accepted && accepted_.insert(ask.text).second) {
    successes_.push_back(reply.index);
    if (calls_to_success_ < 0)
      calls_to_success_ = counts_.executed, generations_to_success_ = generation_ + 1;
  }
  return reply;
}

void SearchRecord::tell(const std::vector<Result>& results,
                        const std::function<Judged(const Terms&)>& judge) {
  base::check(results.size() == granted_.asks.size(), "a result for each wish that was granted");
  std::vector<Reply> replies;
  bool evaluates = false;
  for (size_t i = 0; i < results.size(); ++i) {
    const auto& ask = granted_.asks[i];
    const int64_t cost = price(ask, granted_.unit_ids[i]);
    const bool known = !executed_.insert(granted_.unit_ids[i]).second;
    charge(ask, known, cost);
    evaluates = evaluates || ask.has_terms();
    Reply reply;
    if (ask.has_terms()) reply = evaluated(i, results[i].terms, known, judge);
    reply.swaps = results[i].swaps.get();
    reply.texts = results[i].texts.get();
    reply.training = results[i].training.get();
    replies.push_back(reply);
  }
  if (evaluates) ++generation_;
  arm_->tell(granted_.asks, replies);
  if (std::ssize(successes_) >= limits_.successes) {
    stop_rule_ = "success";
  } else if (!arm_->ended().empty()) {
    stop_rule_ = arm_->ended();
  } else if (counts_.executed >= limits_.calls) {
    stop_rule_ = "budget";
  }
}

}  // namespace preimage::ips
