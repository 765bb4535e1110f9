#include "search_record.hpp"

#include "preimage/base/error.hpp"

namespace preimage::ips {

int64_t SearchRecord::price(const Ask& ask, const std::string& unit_id) const {
  if (executed_.count(unit_id)) return 0;
  return ask.kind == Ask::Kind::propose ? ask.count : 1;
}

const Granted& SearchRecord::ask(const std::function<std::string(const Ask&)>& unit_of) {
  granted_ = {};
  const auto asks = arm_->ask();
  int64_t left = limits_.calls - counts_.executed;
  std::set<std::string> here;
  for (const auto& one : asks) {
    auto id = unit_of(one);
    const int64_t cost = here.count(id) ? 0 : price(one, id);
    if (cost > left) break;
    left -= cost;
    here.insert(id);
    granted_.asks.push_back(one);
    granted_.unit_ids.push_back(std::move(id));
  }
  if (!granted_.asks.empty()) return granted_;
  stop_rule_ = !arm_->ended().empty() ? arm_->ended() : asks.empty() ? "nothing left" : "budget";
  return granted_;
}

void SearchRecord::charge(const Ask& ask, bool known, int64_t price) {
  const int64_t wanted = ask.kind == Ask::Kind::propose ? ask.count : 1;
  counts_.requested += wanted;
  counts_.executed += price;
  counts_.cache_hits += wanted - price;
  if (known) return;
  if (ask.kind == Ask::Kind::evaluate) ++counts_.nll_passes;
  if (ask.kind == Ask::Kind::gradient) ++counts_.gradients;
  if (ask.kind == Ask::Kind::propose) counts_.proposals += price;
}

void SearchRecord::tell(const std::vector<Result>& results,
                        const std::function<Judged(const Terms&)>& judge) {
  base::check(results.size() == granted_.asks.size(), "a result for each wish that was granted");
  std::vector<Reply> replies;
  bool evaluated = false;
  for (size_t i = 0; i < results.size(); ++i) {
    const auto& ask = granted_.asks[i];
    const int64_t cost = price(ask, granted_.unit_ids[i]);
    const bool known = !executed_.insert(granted_.unit_ids[i]).second;
    charge(ask, known, cost);
    Reply reply;
    reply.swaps = results[i].swaps.get();
    reply.texts = results[i].texts.get();
    if (ask.kind == Ask::Kind::evaluate) {
      evaluated = true;
      const auto judged = judge(*results[i].terms);
      reply.index = std::ssize(evaluations_);
      reply.terms = results[i].terms.get();
      reply.fitness = judged.fitness;
      reply.accepted = judged.accepted;
      evaluations_.push_back(
          {ask, results[i].terms, granted_.unit_ids[i], generation_, known, counts_.executed});
      if (judged.accepted && accepted_.insert(ask.text).second) {
        successes_.push_back(reply.index);
        if (calls_to_success_ < 0)
          calls_to_success_ = counts_.executed, generations_to_success_ = generation_ + 1;
      }
    }
    replies.push_back(reply);
  }
  if (evaluated) ++generation_;
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
