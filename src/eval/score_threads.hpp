// Threads that score answers while their owner does something else.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace preimage::eval {

// Jobs run in any order on `threads` threads; what is left of a job, done() gives back to the
// owner. The destructor waits for the jobs that run and drops those that wait.
class ScoreThreads {
 public:
  using Job = std::function<void()>;

  explicit ScoreThreads(int threads);
  ~ScoreThreads();
  ScoreThreads(const ScoreThreads&) = delete;
  ScoreThreads& operator=(const ScoreThreads&) = delete;

  // `work` runs on a thread and must not throw; `finish` is given back by done().
  void add(Job work, Job finish);
  // The `finish` of each job that ended since; waits up to `timeout_s` for one (0: only looks).
  std::vector<Job> done(double timeout_s);

 private:
  struct Pair {
    Job work, finish;
  };
  void run();

  std::mutex mutex_;
  std::condition_variable wake_, ended_;
  std::deque<Pair> waiting_;
  std::vector<Job> done_;
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace preimage::eval
