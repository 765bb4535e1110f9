#include "generate/page_pool.hpp"

#include "preimage/base/error.hpp"

namespace preimage::lm {

PagePool::PagePool(int64_t pages)
    : users_(static_cast<size_t>(pages)),
      released_(static_cast<size_t>(pages)),
      hash_of_(static_cast<size_t>(pages)) {
  for (int64_t page = pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
}

void PagePool::forget(int32_t page) {
  auto& hash = hash_of_[static_cast<size_t>(page)];
  if (!hash) return;
  by_hash_.erase(*hash);
  hash.reset();
}

std::optional<int32_t> PagePool::take() {
  while (free_.empty() && !idle_queue_.empty()) {
    const auto [page, since] = idle_queue_.front();
    idle_queue_.pop_front();
    const auto at = static_cast<size_t>(page);
    if (users_[at] > 0 || released_[at] != since) continue;
    forget(page);
    --idle_;
    free_.push_back(page);
  }
  if (free_.empty()) return std::nullopt;
  const int32_t page = free_.back();
  free_.pop_back();
  users_[static_cast<size_t>(page)] = 1;
  return page;
}

std::optional<int32_t> PagePool::find(const BlockHash& hash) {
  const auto found = by_hash_.find(hash);
  if (found == by_hash_.end()) return std::nullopt;
  if (users_[static_cast<size_t>(found->second)]++ == 0) --idle_;
  return found->second;
}

void PagePool::publish(int32_t page, const BlockHash& hash) {
  if (by_hash_.emplace(hash, page).second) hash_of_[static_cast<size_t>(page)] = hash;
}

void PagePool::release(int32_t page) {
  const auto at = static_cast<size_t>(page);
  base::check(users_[at] > 0, "a page is released by one of its users");
  if (--users_[at] > 0) return;
  ++released_[at];
  if (hash_of_[at]) {
    ++idle_;
    idle_queue_.push_back({page, released_[at]});
  } else {
    free_.push_back(page);
  }
}

}  // namespace preimage::lm
