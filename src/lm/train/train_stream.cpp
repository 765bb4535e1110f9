#include <algorithm>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/train/train.hpp"

namespace preimage::lm {

TrainStream::TrainStream(std::vector<TrainDocument> documents, int64_t end_of_text, int64_t context,
                         uint64_t seed)
    : documents_(std::move(documents)), end_of_text_(end_of_text), seed_(seed) {
  for (size_t d = 0; d < documents_.size(); ++d) {
    const auto size = static_cast<int64_t>(documents_[d].ids.size());
    for (int64_t begin = 0; begin < size; begin += context) {
      pieces_.push_back({static_cast<int32_t>(d), static_cast<int32_t>(begin),
                         static_cast<int32_t>(std::min(size, begin + context))});
    }
    total_ += size;
  }
  if (total_ == 0) throw base::data_error("the training text holds no token");
}

const std::vector<int64_t>& TrainStream::order(int64_t epoch) const {
  if (const auto found = orders_.find(epoch); found != orders_.end()) return found->second;
  // Two neighbours are enough: a shard touches at most the end of one epoch and the begin of the
  // next unless an epoch is smaller than a shard.
  while (orders_.size() > 3) starts_.erase(orders_.begin()->first), orders_.erase(orders_.begin());
  auto order = base::RandomStream(seed_, base::str("epoch ", epoch), "order")
                   .permutation(static_cast<int64_t>(pieces_.size()));
  std::vector<int64_t> starts;
  int64_t at = 0;
  for (const int64_t piece : order) {
    starts.push_back(at);
    at += pieces_[piece].end - pieces_[piece].begin;
  }
  starts_[epoch] = std::move(starts);
  return orders_[epoch] = std::move(order);
}

TrainStream::Shard TrainStream::shard(int64_t index, int64_t tokens) const {
  Shard shard;
  int64_t at = index * tokens;
  while (static_cast<int64_t>(shard.inputs.size()) < tokens) {
    const int64_t epoch = at / total_, within = at % total_;
    const auto& order_now = order(epoch);
    const auto& starts = starts_.at(epoch);
    auto slot = std::upper_bound(starts.begin(), starts.end(), within) - starts.begin() - 1;
    const Piece& piece = pieces_[order_now[slot]];
    const auto& document = documents_[piece.document];
    const int64_t skip = within - starts[slot];
    const int64_t take = std::min<int64_t>(piece.end - piece.begin - skip,
                                           tokens - static_cast<int64_t>(shard.inputs.size()));
    for (int64_t i = piece.begin + skip; i < piece.begin + skip + take; ++i) {
      // The first token of a document is predicted from the end-of-text token.
      shard.inputs.push_back(i == 0 ? end_of_text_ : document.ids[i - 1]);
      shard.targets.push_back(document.ids[i]);
      const float weight = i >= document.first_target ? 1.0f : 0.0f;
      shard.weights.push_back(weight);
      shard.counted += weight;
    }
    shard.lengths.push_back(take);
    at += take;
  }
  return shard;
}

}  // namespace preimage::lm
