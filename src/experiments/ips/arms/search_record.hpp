// The books of one search: what it asked, what it cost, what it found, and when it ends.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "arm.hpp"

namespace preimage::ips {

struct Evaluation {
  Ask ask;
  std::shared_ptr<const Terms> terms;
  std::string unit_id;
  int64_t generation = 0;
  bool cache_hit = false;
  int64_t calls = 0;  // executed by then, this one included
};

struct SearchCounts {
  int64_t requested = 0, executed = 0, cache_hits = 0, nll_passes = 0, gradients = 0, proposals = 0;
};

// Which of a search's wishes were granted, with their units.
struct Granted {
  std::vector<Ask> asks;
  std::vector<std::string> unit_ids;
};

// What a reply needs that is not in the terms.
struct Judged {
  Fitness fitness;
  bool accepted = false;
};

class SearchRecord {
 public:
  struct Identity {
    int64_t target = 0;
    std::string method;
    int64_t seed = 0;
  };
  struct Limits {
    int64_t calls = 0, successes = 1;
  };

  SearchRecord(Identity identity, std::unique_ptr<Arm> arm, Limits limits)
      : identity_(std::move(identity)), arm_(std::move(arm)), limits_(limits) {}

  // The next wave, cut where the calls would be used up; `unit_of` names the unit of an ask. What
  // this search has executed before costs nothing again, whatever other searches have executed:
  // each is charged for all that it would have had to run by itself.
  const Granted& ask(const std::function<std::string(const Ask&)>& unit_of);
  // What came of them, in that order: the members that belong to the kind of each ask.
  struct Result {
    std::shared_ptr<const Terms> terms;
    std::shared_ptr<const Swaps> swaps;
    std::shared_ptr<const std::vector<std::string>> texts;
    std::shared_ptr<const PolicyUpdate> training;
  };
  void tell(const std::vector<Result>& results, const std::function<Judged(const Terms&)>& judge);

  const Granted& granted() const { return granted_; }
  const Identity& identity() const { return identity_; }
  const Arm& arm() const { return *arm_; }
  bool active() const { return stop_rule_.empty(); }
  const std::string& stop_rule() const { return stop_rule_; }
  const std::vector<Evaluation>& evaluations() const { return evaluations_; }
  const SearchCounts& counts() const { return counts_; }
  int64_t generations() const { return generation_; }
  // Calls and generations when the first prompt was accepted; -1: none was.
  int64_t calls_to_success() const { return calls_to_success_; }
  int64_t generations_to_success() const { return generations_to_success_; }
  // Indices of the first evaluation of each distinct accepted prompt.
  const std::vector<int64_t>& successes() const { return successes_; }

 private:
  int64_t price(const Ask& ask, const std::string& unit_id) const;
  void charge(const Ask& ask, bool known, int64_t price);
  Reply evaluated(size_t place, const std::shared_ptr<const Terms>& terms, bool known,
                  const std::function<Judged(const Terms&)>& judge);

  Identity identity_;
  std::unique_ptr<Arm> arm_;
  Limits limits_;
  Granted granted_;
  std::vector<Evaluation> evaluations_;
  std::set<std::string> executed_;  // unit ids
  std::set<std::string> accepted_;  // prompts
  std::vector<int64_t> successes_;
  SearchCounts counts_;
  int64_t generation_ = 0;
  int64_t calls_to_success_ = -1, generations_to_success_ = -1;
  std::string stop_rule_;
};

}  // namespace preimage::ips
