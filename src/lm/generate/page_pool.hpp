// Which pages of the key/value cache are whose. A page that holds a full block of a prompt can be
// found again by what it holds, so that prompts with a common beginning share it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

namespace preimage::lm {

// SHA-256 of a block of a prompt and of all blocks before it.
using BlockHash = std::array<uint8_t, 32>;

class PagePool {
 public:
  explicit PagePool(int64_t pages);

  int64_t pages() const { return static_cast<int64_t>(users_.size()); }
  // Pages that can be taken now; those that nobody uses but that are still findable are among them.
  int64_t available() const { return static_cast<int64_t>(free_.size() + idle_); }

  // An unused page for one user; nothing when there is none. Forgets the findable page that has
  // been idle the longest when no other is free.
  std::optional<int32_t> take();
  // One more user of the page that holds this block, if there is one.
  std::optional<int32_t> find(const BlockHash& hash);
  // Makes a page findable: its content is computed by a pass that was started before any pass of a
  // finder. The first page of a content stays the one that is found.
  void publish(int32_t page, const BlockHash& hash);
  // The page of a user is not found any more.
  void forget(int32_t page);
  void release(int32_t page);

 private:
  struct Idle {
    int32_t page;
    int64_t
        since;  // `released_` of the page when it became idle; another value: it was found again
  };

  std::vector<int32_t> users_;     // of each page
  std::vector<int32_t> free_;      // without users and without a hash
  std::deque<Idle> idle_queue_;    // oldest first; entries may be out of date
  std::vector<int64_t> released_;  // how often each page lost its last user
  int64_t idle_ = 0;               // pages without users but with a hash
  std::map<BlockHash, int32_t> by_hash_;
  std::vector<std::optional<BlockHash>> hash_of_;
};

}  // namespace preimage::lm
