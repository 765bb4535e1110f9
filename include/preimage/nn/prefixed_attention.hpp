// Attention of rows that stand behind beginnings which are known already: many continuations of one
// prompt read it once.
#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/nn/attention.hpp"

namespace preimage::nn {

// The beginning of a sequence as each layer that attends projected it.
struct AttentionPrefix {
  int64_t length = 0;           // tokens; 0: there is no beginning
  std::vector<at::Tensor> qkv;  // [layer]: [length, heads.width()], rotated; undefined where unused
};

// Whole sequences as in PackedAttention, whose projections are kept.
class RecordingAttention : public PackedAttention {
 public:
  RecordingAttention(const std::vector<int64_t>& lengths, int64_t layers, at::Device device);
  at::Tensor attend(int64_t layer, const at::Tensor& qkv, const HeadLayout& heads) const override;
  // One prefix for each sequence, with the layers that attended.
  std::vector<AttentionPrefix> prefixes() const;

 private:
  std::vector<int64_t> lengths_;
  mutable std::vector<at::Tensor> qkv_;  // [layer]: [tokens, width]
};

// The rows of sequence s follow prefixes[s] and see all of it: they have the bits that they have in
// the whole sequence. Differentiable in the rows; the prefixes are constants.
class PrefixedAttention : public AttentionContext {
 public:
  // lengths[s]: rows of sequence s; prefixes must outlive the context.
  PrefixedAttention(std::vector<const AttentionPrefix*> prefixes, std::vector<int64_t> lengths,
                    at::Device device);
  const at::Tensor& positions() const override { return positions_; }
  int64_t position_limit() const override { return packing_.longest; }
  at::Tensor attend(int64_t layer, const at::Tensor& qkv, const HeadLayout& heads) const override;

 private:
  std::vector<const AttentionPrefix*> prefixes_;
  std::vector<int64_t> lengths_;
  Packing packing_;              // of the whole sequences
  at::Tensor positions_, rows_;  // [rows]: in the sequence, in the packing
};

}  // namespace preimage::nn
