// A judge by a rule that answers late and out of order, as a sandbox under load does.
#pragma once

#include <algorithm>
#include <vector>

#include "preimage/base/random.hpp"
#include "preimage/sandbox/judge.hpp"

namespace preimage::tests {

class LateJudge : public sandbox::Judge {
 public:
  explicit LateJudge(sandbox::FakeJudge::Answer answer) : answer_(std::move(answer)) {}

  uint64_t submit(sandbox::Request request) override {
    auto record = answer_(request);
    record.ticket = ++tickets_;
    record.id = request.id;
    records_.push_back(std::move(record));
    return tickets_;
  }

  // At every third look, any of those that wait; the last submitted one not before others wait.
  std::optional<sandbox::Record> next(double timeout_s) override {
    const bool last = timeout_s != 0 && records_.size() == 1;
    if (records_.empty() || (++looks_ % 3 != 0 && !last)) return std::nullopt;
    if (records_.size() == 1 && !last && looks_ % 9 != 0) return std::nullopt;
    const auto at = static_cast<std::ptrdiff_t>(random_.below(records_.size(), draws_++));
    auto record = std::move(records_[static_cast<size_t>(at)]);
    records_.erase(records_.begin() + at);
    out_of_order_ += record.ticket < newest_ ? 1 : 0;
    newest_ = std::max(newest_, record.ticket);
    return record;
  }

  size_t pending() const override { return records_.size(); }
  base::Json description() const override { return {{"level", "late"}}; }
  int64_t out_of_order() const { return out_of_order_; }

 private:
  sandbox::FakeJudge::Answer answer_;
  base::RandomStream random_{7, "late judge", "test"};
  std::vector<sandbox::Record> records_;
  uint64_t tickets_ = 0, newest_ = 0, looks_ = 0, draws_ = 0;
  int64_t out_of_order_ = 0;
};

}  // namespace preimage::tests
