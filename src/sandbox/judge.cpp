#include "preimage/sandbox/judge.hpp"

#include "preimage/base/error.hpp"

namespace preimage::sandbox {

std::vector<Record> judge_all(Judge& judge, std::vector<Request> requests) {
  base::check(judge.pending() == 0, "judge_all starts with nothing pending");
  std::vector<Record> records(requests.size());
  uint64_t first = 0;
  for (auto& request : requests) {
    const auto ticket = judge.submit(std::move(request));
    if (first == 0) first = ticket;
  }
  while (judge.pending() > 0) {
    if (auto record = judge.next()) records.at(record->ticket - first) = std::move(*record);
  }
  return records;
}

uint64_t FakeJudge::submit(Request request) {
  auto record = answer_(request);
  record.ticket = ++tickets_;
  record.id = std::move(request.id);
  records_.push_back(std::move(record));
  return tickets_;
}

std::optional<Record> FakeJudge::next(double) {
  if (records_.empty()) return std::nullopt;
  auto record = std::move(records_.front());
  records_.pop_front();
  return record;
}

}  // namespace preimage::sandbox
