#include "score_threads.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace preimage::eval {

ScoreThreads::ScoreThreads(int threads) {
  for (int i = 0; i < std::max(1, threads); ++i) threads_.emplace_back([this] { run(); });
}

ScoreThreads::~ScoreThreads() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void ScoreThreads::add(Job work, Job finish) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(work), std::move(finish)});
  }
  wake_.notify_one();
}

std::vector<ScoreThreads::Job> ScoreThreads::done(double timeout_s) {
  std::unique_lock lock(mutex_);
  if (timeout_s > 0)
    ended_.wait_for(lock, std::chrono::duration<double>(timeout_s),
                    [this] { return !done_.empty(); });
  return std::exchange(done_, {});
}

void ScoreThreads::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    if (closing_) return;
    auto job = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    job.work();
    lock.lock();
    done_.push_back(std::move(job.finish));
    ended_.notify_one();
  }
}

}  // namespace preimage::eval
