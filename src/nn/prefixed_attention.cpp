#include "preimage/nn/prefixed_attention.hpp"

#include <utility>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

std::vector<int64_t> whole_lengths(const std::vector<const AttentionPrefix*>& prefixes,
                                   const std::vector<int64_t>& lengths) {
  base::check(prefixes.size() == lengths.size(), "every sequence has a prefix");
  std::vector<int64_t> out;
  for (size_t s = 0; s < lengths.size(); ++s) out.push_back(prefixes[s]->length + lengths[s]);
  return out;
}

}  // namespace

RecordingAttention::RecordingAttention(const std::vector<int64_t>& lengths, int64_t layers,
                                       at::Device device)
    : PackedAttention(make_packing(lengths, device)),
      lengths_(lengths),
      qkv_(static_cast<size_t>(layers)) {}

at::Tensor RecordingAttention::attend(int64_t layer, const at::Tensor& qkv,
                                      const HeadLayout& heads) const {
  qkv_.at(static_cast<size_t>(layer)) = qkv.detach();
  return PackedAttention::attend(layer, qkv, heads);
}

std::vector<AttentionPrefix> RecordingAttention::prefixes() const {
  std::vector<AttentionPrefix> out;
  int64_t begin = 0;
  for (const int64_t length : lengths_) {
    auto& prefix = out.emplace_back();
    prefix.length = length;
    // Clones: a prefix must not keep the whole batch alive.
    for (const auto& qkv : qkv_)
      prefix.qkv.push_back(qkv.defined() ? qkv.narrow(0, begin, length).clone() : at::Tensor());
    begin += length;
  }
  return out;
}

PrefixedAttention::PrefixedAttention(std::vector<const AttentionPrefix*> prefixes,
                                     std::vector<int64_t> lengths, at::Device device)
    : prefixes_(std::move(prefixes)),
      lengths_(std::move(lengths)),
      packing_(make_packing(whole_lengths(prefixes_, lengths_), device)) {
  std::vector<int64_t> positions, rows;
  for (size_t s = 0; s < lengths_.size(); ++s) {
    for (int64_t i = 0; i < lengths_[s]; ++i) {
      positions.push_back(prefixes_[s]->length + i);
      rows.push_back(packing_.offsets[s] + prefixes_[s]->length + i);
    }
  }
  positions_ = at::tensor(positions, at::kLong).to(device);
  rows_ = at::tensor(rows, at::kLong).to(device);
}

at::Tensor PrefixedAttention::attend(int64_t layer, const at::Tensor& qkv,
                                     const HeadLayout& heads) const {
  std::vector<at::Tensor> parts;
  int64_t begin = 0;
  for (size_t s = 0; s < lengths_.size(); ++s) {
    if (prefixes_[s]->length > 0) {
      const auto& known = prefixes_[s]->qkv.at(static_cast<size_t>(layer));
      base::check(known.defined(), "the prefix was recorded in this layer");
      parts.push_back(known);
    }
    parts.push_back(qkv.narrow(0, begin, lengths_[s]));
    begin += lengths_[s];
  }
  return attention(at::cat(parts), heads, packing_).index_select(0, rows_);
}

}  // namespace preimage::nn
