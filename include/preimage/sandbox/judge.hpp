// Who is asked for verdicts: the sandbox itself (pool.hpp), or in tests a function.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "preimage/sandbox/program.hpp"

namespace preimage::sandbox {

// Programs go in at any time and records come out as they end, in any order; the ticket says which
// is which. Of one thread.
class Judge {
 public:
  virtual ~Judge() = default;

  // Hands a program over and returns at once (unless very many are waiting). Tickets count from 1.
  virtual uint64_t submit(Request request) = 0;

  // The next record; waits up to `timeout_s` (0: only looks; < 0: for ever). Nothing when the time
  // is over or nothing is pending. Throws ExitCode::unavailable when the sandbox is gone.
  virtual std::optional<Record> next(double timeout_s = -1) = 0;

  // Submitted, and not yet returned by next().
  virtual size_t pending() const = 0;

  // For run.json and the results: {"level": "full", "python": ..., "limits": ..., ...}.
  virtual base::Json description() const = 0;
};

// Judges all and gives the records in the order of the requests.
std::vector<Record> judge_all(Judge& judge, std::vector<Request> requests);

// A function in place of a sandbox, for tests of what stands above it.
class FakeJudge : public Judge {
 public:
  using Answer = std::function<Record(const Request&)>;
  explicit FakeJudge(Answer answer) : answer_(std::move(answer)) {}

  uint64_t submit(Request request) override;
  std::optional<Record> next(double timeout_s = -1) override;
  size_t pending() const override { return records_.size(); }
  base::Json description() const override { return {{"level", "fake"}}; }

 private:
  Answer answer_;
  uint64_t tickets_ = 0;
  std::deque<Record> records_;
};

}  // namespace preimage::sandbox
