// Threads that step together, many thousand times a second, and how they share a phase.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace preimage::lipo {

// A barrier that spins a while before it yields.
class Team {
 public:
  explicit Team(int size = 1) : size_(size) {}
  void set_size(int size) { size_ = size; }
  int size() const { return size_; }
  void wait() {
    if (size_ == 1) return;
    const auto round = round_.load(std::memory_order_relaxed);
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      waiting_.store(0, std::memory_order_relaxed);
      round_.fetch_add(1, std::memory_order_release);
      return;
    }
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins)
      if (spins > 2000) std::this_thread::yield();
  }

 private:
  int size_ = 1;
  alignas(64) std::atomic<int> waiting_{0};
  alignas(64) std::atomic<uint64_t> round_{0};
};

struct Range {
  int64_t first, last;
};

inline Range share(int64_t count, int64_t member, int64_t size) {
  return {count * member / size, count * (member + 1) / size};
}

// One of several threads at a piece of work.
struct Part {
  int64_t index = 0, count = 1;
  Team* team = nullptr;
  void wait() const {
    if (team) team->wait();
  }
  bool first() const { return index == 0; }
  bool last() const { return index + 1 == count; }
  // Of `rows`, in multiples of eight but for the last.
  Range rows(int64_t rows) const {
    const auto of = share(rows / 8, index, count);
    return {8 * of.first, last() ? rows : 8 * of.last};
  }
};

// Blocks of a phase dealt over the threads of a team; several threads to a block where there are
// more threads than blocks.
class Blocks {
 public:
  Blocks(int64_t count, int threads) : count_(count), threads_(threads) {
    parts_ = std::max<int64_t>(1, threads / std::max<int64_t>(1, count));
    for (int64_t i = 0; parts_ > 1 && i < count; ++i)
      teams_.push_back(std::make_unique<Team>(static_cast<int>(parts_)));
  }
  // work(block, part) for what is this member's.
  template <typename Work>
  void run(int member, const Work& work) const {
    if (parts_ == 1) {
      const auto own = share(count_, member, threads_);
      for (int64_t block = own.first; block < own.last; ++block) work(block, Part{});
    } else if (const int64_t block = member / parts_; block < count_) {
      work(block, Part{member % parts_, parts_, teams_[static_cast<size_t>(block)].get()});
    }
  }

 private:
  int64_t count_, parts_ = 1;
  int threads_;
  std::vector<std::unique_ptr<Team>> teams_;
};

}  // namespace preimage::lipo
